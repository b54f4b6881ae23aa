import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  changeSecrets,
  redact,
  resolveBindings,
  toEnv,
  unsupportedBinding,
} from "../../src/versions/bindings.ts";
import type { Binding } from "../../src/versions/types.ts";

const previous: readonly Binding[] = [
  { type: "plain_text", name: "COLOR", text: "red" },
  { type: "json", name: "LIMITS", json: { n: 1 } },
  { type: "secret_text", name: "KEY", text: "hush" },
  { type: "version_metadata", name: "VERSION" },
];
const names = (bindings: readonly Binding[]) => bindings.map(({ name }) => name);

describe("the bindings of a new version", () => {
  test("keep every secret of the version before, whatever the upload asks to keep", () => {
    expect(resolveBindings([], [], previous)).toEqual({ ok: true, value: [previous[2]] });
  });

  test("keep variables only where the upload asks for their type", () => {
    const kept = resolveBindings([], ["plain_text", "json"], previous);
    expect(kept.ok && names(kept.value)).toEqual(["COLOR", "LIMITS", "KEY"]);
  });

  test("replace what the version before had by the same name, a secret too", () => {
    const uploaded: Binding[] = [{ type: "plain_text", name: "KEY", text: "public now" }];
    expect(resolveBindings(uploaded, ["plain_text"], previous)).toEqual({
      ok: true,
      value: [uploaded[0], previous[0]],
    });
  });

  test("take over what they inherit, by name or by an older name", () => {
    const inherited = resolveBindings(
      [
        { type: "inherit", name: "KEY" },
        { type: "inherit", name: "TINT", old_name: "COLOR" },
      ],
      [],
      previous,
    );
    expect(inherited).toEqual({
      ok: true,
      value: [previous[2], { type: "plain_text", name: "TINT", text: "red" }],
    });
  });

  test("are refused with every name that cannot be inherited", () => {
    const refused = resolveBindings(
      [
        { type: "inherit", name: "A" },
        { type: "inherit", name: "KEY" },
        { type: "inherit", name: "B" },
      ],
      [],
      previous,
    );
    expect(refused).toEqual({ ok: false, error: { reason: "inherit-missing", names: ["A", "B"] } });
  });
});

describe("a change of secrets", () => {
  test("sets, replaces and deletes, and leaves the rest", () => {
    const changed = changeSecrets("shop", [...previous, { type: "secret_text", name: "OLD", text: "x" }], {
      KEY: "new",
      OLD: null,
      MORE: "more",
    });
    expect(
      changed.ok && toEnv({ bindings: changed.value, version: "v", tag: null, created_on: "t" }),
    ).toEqual({
      COLOR: "red",
      LIMITS: { n: 1 },
      KEY: "new",
      MORE: "more",
      VERSION: { id: "v", tag: "", timestamp: "t" },
    });
  });

  test("cannot delete what is not there or is no secret", () => {
    for (const name of ["MISSING", "COLOR"]) {
      expect(changeSecrets("shop", previous, { [name]: null })).toEqual({
        ok: false,
        error: { reason: "secret-not-found", worker: "shop", name },
      });
    }
  });

  test("cannot take the name of a variable", () => {
    const refused = changeSecrets("shop", previous, { COLOR: "x" });
    expect(refused).toMatchObject({
      ok: false,
      error: { reason: "upload-invalid", detail: expect.stringContaining("plain_text") },
    });
  });
});

test("a secret's value is never shown", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 12 }), (name, text) => {
      const shown = redact({ type: "secret_text", name, text });
      return Object.keys(shown).sort().join() === "name,type" && shown.name === name;
    }),
  );
});

test("version metadata carries the tag", () => {
  const env = toEnv({
    bindings: [{ type: "version_metadata", name: "V" }],
    version: "id",
    tag: "v1.2",
    created_on: "2026-11-22T00:00:00.000Z",
  });
  expect(env).toEqual({ V: { id: "id", tag: "v1.2", timestamp: "2026-11-22T00:00:00.000Z" } });
});

test("a refused binding is named, with what to do", () => {
  expect(unsupportedBinding("kv_namespace", "CACHE")).toMatchObject({
    feature: expect.stringMatching(/CACHE.*kv_namespace/),
    advice: expect.stringContaining("remove"),
  });
  expect(unsupportedBinding("mtls_certificate", "CERT")).toMatchObject({
    advice: expect.stringContaining("proxy"),
  });
});
