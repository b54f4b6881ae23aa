import { expect, test } from "vitest";
import { hostName, parseHostName } from "../../src/bindings/objects/identity.ts";

const IDENTITY = { worker: "shop", namespace: "0123", hex: "ab".repeat(32) };

test("a host's name says which object it runs", () => {
  expect(hostName(IDENTITY)).toBe(`shop/0123/${IDENTITY.hex}`);
  expect(parseHostName(hostName(IDENTITY))).toEqual(IDENTITY);
});

test("a host without a name runs no object", () => {
  expect(parseHostName("")).toEqual({ worker: "", namespace: "", hex: "" });
});
