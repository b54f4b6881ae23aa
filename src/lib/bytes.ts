/** Bytes, their units and their spellings. */

/** Bytes in a mebibyte. */
export const MIB = 1024 * 1024;

const encoder = new TextEncoder();

/** The UTF-8 form of a text. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text) as Uint8Array<ArrayBuffer>;
}

/** Two lower-case digits per byte. */
export function toHex(bytes: ArrayBuffer | Uint8Array): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
