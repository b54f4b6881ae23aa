import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toEnv } from "../../src/runtime/version-env.ts";
import type { Binding } from "../../src/versions/binding-types.ts";
import { changeSecrets, redact, resolveBindings, unsupportedBinding } from "../../src/versions/bindings.ts";

const previous: readonly Binding[] = [
  { type: "plain_text", name: "COLOR", text: "red" },
  { type: "json", name: "LIMITS", json: { n: 1 } },
  { type: "secret_text", name: "KEY", text: "hush" },
  { type: "version_metadata", name: "VERSION" },
];
const open = (entrypoint: string, props: object) => ({ entrypoint, props });
const meta = { worker: "shop", version: "id", tag: "v1.2", created_on: "2026-11-22T00:00:00.000Z" };
/** Bindings of every type, with names of their own. `__proto__` has a test of its own. */
const bindingName = fc.string({ minLength: 1 }).filter((name) => name !== "__proto__");
const anyBinding: fc.Arbitrary<Binding> = fc.oneof(
  fc.record({ type: fc.constant("plain_text" as const), name: bindingName, text: fc.string() }),
  fc.record({ type: fc.constant("json" as const), name: bindingName, json: fc.jsonValue() }),
  fc.record({ type: fc.constant("secret_text" as const), name: bindingName, text: fc.string() }),
  fc.record({ type: fc.constant("version_metadata" as const), name: bindingName }),
);
const anyBindings = fc.uniqueArray(anyBinding, { selector: ({ name }) => name, maxLength: 6 });
const anyKeep = fc.subarray(["plain_text", "json", "secret_text", "version_metadata", "kv_namespace"]);

const names = (bindings: readonly Binding[]) => bindings.map(({ name }) => name);

describe("the bindings of a new version", () => {
  test("keep every secret of the version before, whatever the upload asks to keep", () => {
    for (const keep of [[], ["secret_text"], ["kv_namespace", "secret_key"]]) {
      expect(resolveBindings([], keep, previous), keep.join()).toEqual({ ok: true, value: [previous[2]] });
    }
  });

  test("never lose a secret, never name a binding twice, and keep nothing unrequested", () => {
    fc.assert(
      fc.property(anyBindings, anyKeep, anyBindings, (uploaded, keep, before) => {
        const resolved = resolveBindings(uploaded, keep, before);
        if (!resolved.ok) return false;
        const got = resolved.value;
        const isUploaded = (binding: Binding) => uploaded.includes(binding);
        expect(new Set(names(got)).size).toBe(got.length);
        expect(uploaded.every((binding) => got.includes(binding))).toBe(true);
        for (const binding of before) {
          const replaced = uploaded.some(({ name }) => name === binding.name);
          const wanted = binding.type === "secret_text" || keep.includes(binding.type);
          expect(got.includes(binding)).toBe(!replaced && wanted);
        }
        return got.every((binding) => isUploaded(binding) || before.includes(binding));
      }),
    );
  });

  test("keep variables only where the upload asks for their type", () => {
    const kept = resolveBindings([], ["plain_text", "json"], previous);
    expect(kept.ok && names(kept.value)).toEqual(["COLOR", "LIMITS", "KEY"]);
    const json = resolveBindings([], ["json"], previous);
    expect(json.ok && names(json.value)).toEqual(["LIMITS", "KEY"]);
  });

  test("replace a binding of the same name in the version before, a secret too", () => {
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

  test("can inherit under a new name, and under the name that another binding had", () => {
    const swapped = resolveBindings(
      [
        { type: "inherit", name: "COLOR", old_name: "KEY" },
        { type: "inherit", name: "KEY", old_name: "COLOR" },
      ],
      ["plain_text"],
      previous,
    );
    expect(swapped).toEqual({
      ok: true,
      value: [
        { type: "secret_text", name: "COLOR", text: "hush" },
        { type: "plain_text", name: "KEY", text: "red" },
      ],
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
    const renamed = resolveBindings([{ type: "inherit", name: "KEY", old_name: "GONE" }], [], previous);
    expect(renamed).toMatchObject({ ok: false, error: { names: ["KEY"] } });
    const first = resolveBindings([{ type: "inherit", name: "KEY" }], ["secret_text"], []);
    expect(first).toMatchObject({ ok: false, error: { names: ["KEY"] } });
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
      changed.ok &&
        toEnv({ ...meta, bindings: changed.value, version: "v", tag: null, created_on: "t" }, open),
    ).toEqual({
      COLOR: "red",
      LIMITS: { n: 1 },
      KEY: "new",
      MORE: "more",
      VERSION: { id: "v", tag: "", timestamp: "t" },
    });
  });

  test("can change nothing, and can empty a secret without deleting it", () => {
    expect(changeSecrets("shop", previous, {})).toEqual({ ok: true, value: previous });
    const emptied = changeSecrets("shop", previous, { KEY: "" });
    expect(emptied.ok && emptied.value).toContainEqual({ type: "secret_text", name: "KEY", text: "" });
  });

  test("is refused as a whole where one of its secrets cannot be changed", () => {
    expect(changeSecrets("shop", previous, { MORE: "more", KEY: null, MISSING: null }).ok).toBe(false);
    expect(changeSecrets("shop", [], { KEY: null }).ok).toBe(false);
  });

  test("cannot delete a missing binding, nor one that is not a secret", () => {
    for (const name of ["MISSING", "COLOR"]) {
      expect(changeSecrets("shop", previous, { [name]: null })).toEqual({
        ok: false,
        error: { reason: "secret-not-found", worker: "shop", name },
      });
    }
  });

  test("cannot take the name of a variable", () => {
    for (const [name, type] of [
      ["COLOR", "plain_text"],
      ["LIMITS", "json"],
      ["VERSION", "version_metadata"],
    ] as const) {
      expect(changeSecrets("shop", previous, { [name]: "x" })).toMatchObject({
        ok: false,
        error: {
          reason: "upload-invalid",
          detail: expect.stringContaining(`"${name}" is already a ${type} binding`),
        },
      });
    }
  });
});

describe("a binding as the API shows it", () => {
  test("never has a secret's value in it", () => {
    fc.assert(
      fc.property(bindingName, fc.uuid(), fc.string(), (name, value, rest) => {
        const shown = redact({ type: "secret_text", name, text: `${value}${rest}` });
        expect(shown).toEqual({ type: "secret_text", name });
        expect(JSON.stringify(shown)).not.toContain(value);
      }),
    );
  });

  test("is whole where it is no secret", () => {
    fc.assert(
      fc.property(anyBinding, (binding) => {
        fc.pre(binding.type !== "secret_text");
        expect(redact(binding)).toEqual(binding);
      }),
    );
  });
});

describe("what the code sees in env", () => {
  test("is every binding by its name, and nothing else", () => {
    fc.assert(
      fc.property(anyBindings, (bindings) => {
        const env = toEnv({ bindings, ...meta }, open);
        expect(Object.keys(env).sort()).toEqual(names(bindings).sort());
        for (const binding of bindings) {
          if (binding.type === "plain_text" || binding.type === "secret_text") {
            expect(env[binding.name]).toBe(binding.text);
          }
          if (binding.type === "json") expect(env[binding.name]).toBe(binding.json);
        }
      }),
    );
  });

  test("has a binding of any name, names of the prototype included", () => {
    const text = toEnv({ bindings: [{ type: "plain_text", name: "__proto__", text: "x" }], ...meta }, open);
    expect(Object.entries(text)).toEqual([["__proto__", "x"]]);
    const json = toEnv(
      { bindings: [{ type: "json", name: "__proto__", json: { admin: true } }], ...meta },
      open,
    );
    expect(json.admin).toBeUndefined();
  });

  test("tells the version about itself, and has no undefined tag", () => {
    const bindings = [{ type: "version_metadata", name: "V" }] as const;
    expect(toEnv({ bindings, ...meta }, open)).toEqual({
      V: { id: "id", tag: "v1.2", timestamp: "2026-11-22T00:00:00.000Z" },
    });
    expect(toEnv({ bindings, ...meta, tag: null }, open)).toMatchObject({ V: { tag: "" } });
  });
});

test("a refused binding is named, with what to do", () => {
  expect(unsupportedBinding("unheard_of", "CACHE")).toMatchObject({
    feature: expect.stringMatching(/CACHE.*unheard_of/),
    advice: expect.stringContaining("remove"),
  });
  expect(unsupportedBinding("mtls_certificate", "CERT")).toMatchObject({
    advice: expect.stringContaining("proxy"),
  });
});
