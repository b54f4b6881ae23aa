/** How refusals are answered: every reason has its status, its code, and words for the person who called. */
import { describe, expect, test } from "vitest";
import { toWire } from "../../src/control/codes.ts";
import type { ResourceKind, SluiceError } from "../../src/lib/errors.ts";

type Because<R extends SluiceError["reason"]> = Extract<SluiceError, { readonly reason: R }>;

/** What clients rely on, for one refusal of every reason: a reason without a row does not compile. */
const ROWS: {
  readonly [R in SluiceError["reason"]]: readonly [status: number, code: number, error: Because<R>];
} = {
  "version-quarantined": [
    409,
    10013,
    { reason: "version-quarantined", worker: "shop", version: "v", why: "it hangs" },
  ],
  unauthorized: [401, 10000, { reason: "unauthorized", detail: "no token." }],
  forbidden: [403, 9109, { reason: "forbidden", role: "read" }],
  "token-exists": [409, 1001, { reason: "token-exists", name: "ci" }],
  "token-not-found": [404, 1003, { reason: "token-not-found", id: "ci" }],
  "no-route": [404, 7003, { reason: "no-route", method: "GET", path: "/nowhere" }],
  "worker-name-invalid": [400, 10016, { reason: "worker-name-invalid", worker: "-" }],
  "worker-not-found": [404, 10007, { reason: "worker-not-found", worker: "shop" }],
  "body-invalid": [400, 9207, { reason: "body-invalid", detail: "it is not JSON" }],
  "body-too-large": [413, 10027, { reason: "body-too-large", limitBytes: 25 * 1024 * 1024 }],
  "storage-refused": [400, 10147, { reason: "storage-refused", detail: "The key is too long." }],
  unsupported: [400, 10021, { reason: "unsupported", feature: "Logpush", advice: "remove it" }],
  "changed-meanwhile": [409, 10021, { reason: "changed-meanwhile", worker: "shop" }],
  "upload-invalid": [400, 10021, { reason: "upload-invalid", detail: "it has no modules" }],
  "version-too-large": [413, 10027, { reason: "version-too-large", detail: "The modules are 25 MiB." }],
  "startup-failed": [400, 10021, { reason: "startup-failed", message: "Uncaught Error: no" }],
  "inherit-missing": [400, 10057, { reason: "inherit-missing", names: ["KEY", "COLOR"] }],
  "service-not-found": [400, 10143, { reason: "service-not-found", name: "AUTH", service: "auth" }],
  "class-not-found": [
    400,
    10061,
    { reason: "class-not-found", name: "ROOM", class_name: "Room", worker: "shop" },
  ],
  "class-not-exported": [400, 10064, { reason: "class-not-exported", classes: ["Room", "Hall"] }],
  "migration-invalid": [400, 10079, { reason: "migration-invalid", detail: "the class Room exists" }],
  "migration-in-version": [400, 10211, { reason: "migration-in-version" }],
  "script-in-version": [400, 10021, { reason: "script-in-version" }],
  "assets-session-invalid": [401, 10000, { reason: "assets-session-invalid" }],
  "assets-invalid": [400, 10021, { reason: "assets-invalid", detail: "a file is missing" }],
  "validator-unavailable": [503, 10013, { reason: "validator-unavailable", detail: "the process is gone" }],
  "version-not-found": [404, 100146, { reason: "version-not-found", worker: "shop", version: "v1" }],
  "deployment-not-found": [404, 10007, { reason: "deployment-not-found", worker: "shop", deployment: "d1" }],
  "no-deployment": [404, 10007, { reason: "no-deployment", worker: "shop" }],
  "deployment-invalid": [400, 10021, { reason: "deployment-invalid", detail: "the percentages sum to 99" }],
  "before-migration": [400, 10211, { reason: "before-migration", worker: "shop", version: "v1" }],
  "split-protected": [
    409,
    10021,
    {
      reason: "split-protected",
      worker: "shop",
      versions: [
        { version_id: "v1", percentage: 90 },
        { version_id: "v2", percentage: 10 },
      ],
    },
  ],
  "code-unavailable": [503, 10013, { reason: "code-unavailable", version: "v1" }],
  "version-unloadable": [503, 10013, { reason: "version-unloadable", worker: "shop", why: "it throws" }],
  "secret-not-found": [404, 10056, { reason: "secret-not-found", worker: "shop", name: "KEY" }],
  "latest-not-deployed": [400, 10215, { reason: "latest-not-deployed", worker: "shop" }],
  "secrets-changed": [400, 10220, { reason: "secrets-changed", names: ["KEY", "PASSWORD"] }],
  "rollout-active": [409, 10021, { reason: "rollout-active", worker: "shop", id: "r1" }],
  "rollout-not-found": [404, 10007, { reason: "rollout-not-found", worker: "shop", id: "r1" }],
  "rollout-invalid": [400, 10021, { reason: "rollout-invalid", detail: "the plan has no stages" }],
  "rollout-smoke-failed": [
    409,
    10021,
    { reason: "rollout-smoke-failed", version: "v1", request: "GET /", why: "answered with 500" },
  ],
  "rollout-state": [409, 10021, { reason: "rollout-state", id: "r1", detail: "has ended" }],
  "route-taken": [409, 10020, { reason: "route-taken", pattern: "example.com/*", worker: "blog" }],
  "route-not-found": [404, 10007, { reason: "route-not-found", id: "1" }],
  "domain-taken": [409, 10021, { reason: "domain-taken", hostname: "example.com", worker: "blog" }],
  "domain-not-found": [404, 10007, { reason: "domain-not-found", id: "1" }],
  "cron-invalid": [400, 10100, { reason: "cron-invalid", detail: "it has four fields" }],
  "tail-not-found": [404, 10007, { reason: "tail-not-found", id: "1" }],
  "resource-not-found": [404, 10013, { reason: "resource-not-found", kind: "kv", id: "1" }],
  "resource-exists": [400, 10014, { reason: "resource-exists", kind: "kv", name: "cache" }],
  "key-not-found": [404, 10009, { reason: "key-not-found", key: "color" }],
  "bucket-not-empty": [409, 10008, { reason: "bucket-not-empty", bucket: "pictures" }],
  "object-not-found": [404, 10007, { reason: "object-not-found", key: "cat.png" }],
  "consumer-exists": [400, 11004, { reason: "consumer-exists", queue: "jobs", worker: "shop" }],
  "consumer-not-found": [404, 11003, { reason: "consumer-not-found", queue: "jobs", consumer: "1" }],
  "query-failed": [400, 7500, { reason: "query-failed", detail: "no such table: x" }],
};

/** Texts of an error's data, as they must occur in its messages. */
function textsOf({ reason: _, ...data }: SluiceError): string[] {
  const texts = (value: unknown): string[] =>
    typeof value === "string"
      ? [value]
      : typeof value === "object" && value !== null
        ? Object.values(value).flatMap(texts)
        : [];
  return texts(data);
}

describe.each(Object.entries(ROWS))("%s", (reason, [status, code, error]) => {
  const wire = toWire(error);

  test(`is answered with the status ${status} and the code ${code}`, () => {
    expect(error.reason).toBe(reason);
    expect(wire.status).toBe(status);
    expect(new Set(wire.errors.map((each) => each.code))).toEqual(new Set([code]));
  });

  test("says what it is about, in whole words", () => {
    const messages = wire.errors.map(({ message }) => message);
    expect(messages.length).toBeGreaterThan(0);
    for (const message of messages) {
      expect(message.trim()).not.toBe("");
      expect(message).toBe(message.trim());
      expect(message).not.toMatch(/undefined|null|NaN|\[object|\$\{/);
    }
    const all = messages.join("\n");
    // A kind of resource is an identifier of ours: its message has the word for it.
    for (const text of textsOf(error))
      if (!("kind" in error && text === error.kind)) expect(all).toContain(text);
  });
});

test("a binding that cannot be inherited is an error of its own, under the code that wrangler knows", () => {
  const { status, errors } = toWire({ reason: "inherit-missing", names: ["KEY", "COLOR"] });
  expect(status).toBe(400);
  expect(errors).toEqual([
    { code: 10057, message: expect.stringContaining("inherit binding 'KEY' is invalid") },
    { code: 10057, message: expect.stringContaining("inherit binding 'COLOR' is invalid") },
  ]);
});

test("secrets that changed are named after the colon, where wrangler reads them", () => {
  const [error] = toWire({ reason: "secrets-changed", names: ["KEY", "PASSWORD"] }).errors;
  expect(error?.message).toMatch(/: KEY, PASSWORD$/);
});

test.each([
  ["kv", "KV namespace", 10013, 10014, "wrangler kv namespace list"],
  ["r2", "R2 bucket", 10006, 10004, "wrangler r2 bucket list"],
  ["d1", "D1 database", 7404, 7502, "wrangler d1 list"],
  ["queue", "queue", 11000, 11009, "wrangler queues list"],
] as const satisfies readonly (readonly [ResourceKind, string, number, number, string])[])(
  "a missing %s is called a %s, and the command that lists them is named",
  (kind, what, absent, taken, command) => {
    const missing = toWire({ reason: "resource-not-found", kind, id: "7" });
    expect(missing).toMatchObject({ status: 404, errors: [{ code: absent }] });
    expect(missing.errors[0]?.message).toContain(`${what} 7`);
    expect(missing.errors[0]?.message).toContain(command);
    const exists = toWire({ reason: "resource-exists", kind, name: "cache" });
    expect(exists).toMatchObject({ status: 400, errors: [{ code: taken }] });
    expect(exists.errors[0]?.message).toContain(`${what} named "cache"`);
  },
);
