/** Writes values as Cap'n Proto text, the format of workerd's configuration. Pure. */

/** A word of the format that is not quoted: the name of an enum's value, or a reference to a file. */
class Word {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A value of the format. A field that is undefined is left out. */
export type Capnp =
  | string
  | number
  | boolean
  | Word
  | readonly Capnp[]
  | { readonly [field: string]: Capnp | undefined };

/** The content of a file, whose path starts from the configuration's folder. */
export function embed(file: string): Capnp {
  return new Word(`embed ${quote(file)}`);
}

/** A value of an enum. */
export function named(name: string): Capnp {
  return new Word(name);
}

export function toCapnp(value: Capnp): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value instanceof Word) return value.text;
  if (isList(value)) return `[${value.map(toCapnp).join(", ")}]`;
  const fields = Object.entries(value).flatMap(([name, field]) =>
    field === undefined ? [] : [`${name} = ${toCapnp(field)}`],
  );
  return `(${fields.join(", ")})`;
}

function isList(value: Capnp): value is readonly Capnp[] {
  return Array.isArray(value);
}

/** Everything but printable ASCII as bytes of UTF-8, so that no text can end the string. */
function quote(text: string): string {
  const written = Array.from(Buffer.from(text, "utf8"), (byte) => {
    const character = String.fromCharCode(byte);
    if (character === '"' || character === "\\") return `\\${character}`;
    return byte >= 0x20 && byte < 0x7f ? character : `\\x${byte.toString(16).padStart(2, "0")}`;
  });
  return `"${written.join("")}"`;
}
