import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BlobHeader, decodeBlob, encodeBlob } from "../../src/versions/blob.ts";

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
  test("is read back as it was written, whatever its modules contain", () => {
    const anyModule = fc.record({
      name: fc.string({ unit: "grapheme", minLength: 1 }),
      type: fc.constantFrom("js" as const, "wasm" as const, "data" as const, "sourcemap" as const),
      bytes: fc.uint8Array({ maxLength: 300 }),
    });
    fc.assert(
      fc.property(fc.array(anyModule, { maxLength: 6 }), fc.string({ unit: "grapheme" }), (modules, tag) => {
        const decoded = decodeBlob(encodeBlob({ header: { ...header, tag }, modules }).buffer);
        expect(decoded.header).toEqual({ ...header, tag });
        expect(decoded.modules.map(({ name, type, bytes }) => ({ name, type, bytes: [...bytes] }))).toEqual(
          modules.map(({ name, type, bytes }) => ({ name, type, bytes: [...bytes] })),
        );
      }),
    );
  });

  test("is refused wherever it was cut off", () => {
    for (let end = 0; end < whole.length; end++) {
      expect(() => decodeBlob(whole.slice(0, end).buffer), `${end} bytes`).toThrow();
    }
  });

  test("is refused with bytes behind its end", () => {
    const longer = new Uint8Array(whole.length + 1);
    longer.set(whole);
    expect(() => decodeBlob(longer.buffer)).toThrow(/bytes instead of/);
  });

  test("is refused where it begins as something else or lies about its header", () => {
    const other = whole.slice();
    other[0] = 0;
    expect(() => decodeBlob(other.buffer)).toThrow(/does not begin/);
    const lying = whole.slice();
    new DataView(lying.buffer).setUint32(4, 0xffffffff, true);
    expect(() => decodeBlob(lying.buffer)).toThrow(/within its header/);
  });
});
