import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BlobHeader, decodeBlob, encodeBlob, type VersionBlob } from "../../src/versions/blob.ts";

const header: BlobHeader = {
  worker: "shop",
  version: "dc8dcd28-271b-4367-9840-6c244f84cb40",
  created_on: "2026-11-22T00:00:00.000Z",
  tag: null,
  main_module: "index.js",
  compatibility_date: "2026-11-17",
  compatibility_flags: ["nodejs_compat"],
  bindings: [{ type: "secret_text", name: "KEY", text: "größer" }],
  has_default: true,
};
const whole = encodeBlob({
  header,
  modules: [
    { name: "index.js", type: "js", bytes: new TextEncoder().encode("export default {}") },
    { name: "empty.bin", type: "data", bytes: new Uint8Array() },
  ],
});

describe("a stored version", () => {
  test("is read back unchanged, whatever its modules contain", () => {
    const anyModule = fc.record({
      name: fc.oneof(
        fc.string({ unit: "grapheme", minLength: 1 }),
        fc.constantFrom("größe.js", "日本/語.txt"),
      ),
      type: fc.constantFrom("js", "cjs", "wasm", "text", "data", "json", "sourcemap"),
      bytes: fc.oneof(fc.constant(new Uint8Array()), fc.uint8Array({ maxLength: 300 })),
    });
    const text = fc.string({ unit: "grapheme" });
    const anyHeader: fc.Arbitrary<BlobHeader> = fc.record({
      worker: text,
      version: fc.uuid(),
      created_on: text,
      tag: fc.option(text),
      main_module: text,
      compatibility_date: text,
      compatibility_flags: fc.array(text),
      bindings: fc.array(fc.record({ type: fc.constant("secret_text"), name: text, text })),
      has_default: fc.boolean(),
    });
    fc.assert(
      fc.property(anyHeader, fc.array(anyModule, { maxLength: 6 }), (written, modules) => {
        const decoded = decodeBlob(encodeBlob({ header: written, modules }).buffer);
        expect(decoded.header).toEqual(written);
        const plain = (all: VersionBlob["modules"]) =>
          all.map((module) => ({ ...module, bytes: [...module.bytes] }));
        expect(plain(decoded.modules)).toEqual(plain(modules));
      }),
    );
  });

  test("is read back from modules that are views of something larger", () => {
    const bytes = new Uint8Array([9, 9, 1, 2, 9]).subarray(2, 4);
    const [module] = decodeBlob(
      encodeBlob({ header, modules: [{ name: "m", type: "data", bytes }] }).buffer,
    ).modules;
    expect([...(module?.bytes ?? [])]).toEqual([1, 2]);
  });

  test("can have no modules, and is in the layout that is documented", () => {
    const blob = encodeBlob({ header, modules: [] });
    expect(new TextDecoder().decode(blob.subarray(0, 4))).toBe("SLV1");
    expect(new DataView(blob.buffer).getUint32(4, true)).toBe(blob.length - 8);
    expect(JSON.parse(new TextDecoder().decode(blob.subarray(8)))).toEqual({ ...header, modules: [] });
    expect(decodeBlob(blob.buffer)).toEqual({ header, modules: [] });
  });

  test("is refused wherever it was cut off", () => {
    for (let end = 0; end < whole.length; end++) {
      expect(() => decodeBlob(whole.slice(0, end).buffer), `${end} bytes`).toThrow(
        /^the stored (value does not start like a version|version is cut off in its header|version has \d+ bytes instead of \d+)$/,
      );
    }
  });

  test("is refused with bytes behind its end", () => {
    for (const extra of [1, 4, 1000]) {
      const longer = new Uint8Array(whole.length + extra);
      longer.set(whole);
      expect(() => decodeBlob(longer.buffer)).toThrow(
        `the stored version has ${whole.length + extra} bytes instead of ${whole.length}`,
      );
    }
  });

  test("is refused where it begins as something else", () => {
    for (let at = 0; at < 4; at++) {
      const other = whole.slice();
      other[at] = 0;
      expect(() => decodeBlob(other.buffer), `byte ${at}`).toThrow(/does not start/);
    }
    expect(() => decodeBlob(new TextEncoder().encode('{"modules":[]}').buffer)).toThrow(/does not start/);
    expect(() => decodeBlob(new ArrayBuffer(0))).toThrow(/does not start/);
  });

  test("is refused, with a message, where it lies about the length of its header", () => {
    const told = new DataView(whole.buffer).getUint32(4, true);
    for (let length = 0; length <= whole.length; length++) {
      if (length === told) continue;
      const lying = whole.slice();
      new DataView(lying.buffer).setUint32(4, length, true);
      expect(() => decodeBlob(lying.buffer), `${length} instead of ${told}`).toThrow(/./);
    }
    for (const length of [whole.length - 7, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      const lying = whole.slice();
      new DataView(lying.buffer).setUint32(4, length, true);
      expect(() => decodeBlob(lying.buffer), `${length}`).toThrow(/is cut off in its header/);
    }
  });

  test("is refused, with a message, where its header is whole but not one", () => {
    for (const text of [
      "",
      "null",
      "[]",
      "1",
      "{}",
      '{"modules":null}',
      '{"modules":[null]}',
      '{"modules":{}}',
    ]) {
      const json = new TextEncoder().encode(text);
      const blob = new Uint8Array(8 + json.length);
      blob.set(whole.subarray(0, 4));
      new DataView(blob.buffer).setUint32(4, json.length, true);
      blob.set(json, 8);
      expect(() => decodeBlob(blob.buffer), text).toThrow(/./);
    }
  });
});
