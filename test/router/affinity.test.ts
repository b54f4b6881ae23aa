import { describe, expect, test } from "vitest";
import { decide, pinOf } from "../../src/router/decide.ts";
import { decorate, VERSION_HEADER } from "../../src/router/decorate.ts";
import { givenBy } from "../../src/router/given.ts";
import { readKey } from "../../src/router/signals.ts";
import { compileSplit, type Split } from "../../src/router/split.ts";
import type { DeploymentRecord } from "../../src/versions/record.ts";
import type { Affinity } from "../../src/versions/types.ts";

const STABLE = "00000000-0000-4000-8000-000000000001";
const CANDIDATE = "00000000-0000-4000-8000-000000000002";
const OLD = "00000000-0000-4000-8000-000000000003";

const record = (change: Partial<DeploymentRecord> = {}): DeploymentRecord => ({
  schema: 1,
  worker: "shop",
  revision: 1,
  deployment_id: "d",
  enabled: true,
  versions: [
    { version_id: STABLE, number: 1, percentage: 50 },
    { version_id: CANDIDATE, number: 2, percentage: 50 },
  ],
  ...change,
});
const request = (headers: Record<string, string> = {}, url = "http://shop.localhost/") =>
  new Request(url, { headers });

describe("the key of a request", () => {
  const affinity: Affinity = [
    { type: "header", name: "X-User" },
    { type: "cookie", name: "session" },
    { type: "address" },
  ];
  const key = (headers: Record<string, string>) => readKey(new Headers(headers), affinity, "X-Real-IP");

  test("is the first that it has of the Worker's sources, in their order", () => {
    const all = { "X-Real-IP": "192.0.2.1", Cookie: "a=b; session=s1", "X-User": "anna" };
    expect(key(all)).toBe("anna");
    expect(key({ ...all, "X-User": "" })).toBe("s1");
    expect(key({ "X-Real-IP": "192.0.2.1", Cookie: "sessionx=s1" })).toBe("192.0.2.1");
    expect(key({})).toBeUndefined();
  });

  test("comes from the key header before any source", () => {
    expect(key({ "Cloudflare-Workers-Version-Key": "k", "X-User": "anna" })).toBe("k");
  });

  test("is not the address where that is not among the sources", () => {
    const headers = new Headers({ "X-Real-IP": "192.0.2.1" });
    expect(readKey(headers, [{ type: "header", name: "X-User" }], "X-Real-IP")).toBeUndefined();
    expect(readKey(headers, undefined, "X-Real-IP")).toBe("192.0.2.1");
  });
});

/** The cookie that a client gets with its response. */
function issuedTo(split: Split, asked: Request): string | undefined {
  const response = decorate(split, asked, decide(split, asked, givenBy("", true)), new Response("x"));
  return response.headers.get("Set-Cookie") ?? undefined;
}

describe("an issued cookie", () => {
  const split = compileSplit(
    record({
      affinity: [
        { type: "header", name: "X-User" },
        { type: "issued_cookie", name: "id", max_age: 60 },
      ],
    }),
  );

  test("gives the second request of a client the version of its first", () => {
    for (let i = 0; i < 200; i++) {
      const first = decide(split, request(), givenBy("", true));
      expect(first.reason).toBe("key");
      const decorated = decorate(split, request(), first, new Response("x"));
      const cookie = /^id=([^;]+)/.exec(decorated.headers.get("Set-Cookie") ?? "")?.[1] ?? "";
      expect(cookie).toBe(first.identity);
      const again = request({ Cookie: `id=${cookie}` });
      expect(issuedTo(split, again)).toBeUndefined();
      expect(readKey(again.headers, split.affinity, "")).toBe(cookie);
      expect(decide(split, again, givenBy("", true)).version).toBe(first.version);
    }
  });

  test("carries no version, is hidden from scripts, and is secure where the client used https", () => {
    const cookie = (headers: Record<string, string>, url?: string) => issuedTo(split, request(headers, url));
    expect(cookie({})).toMatch(/^id=[0-9a-f-]{36}; Max-Age=60; Path=\/; HttpOnly; SameSite=Lax$/);
    expect(cookie({ "X-Forwarded-Proto": "https" })).toContain("; Secure");
    expect(cookie({}, "https://shop.example.com/")).toContain("; Secure");
    expect(cookie({})).not.toContain(STABLE);
  });

  test("with a name that demands it is secure, and breaks no request", () => {
    for (const name of ["__Host-id", "__Secure-id"]) {
      const named = compileSplit(record({ affinity: [{ type: "issued_cookie", name, max_age: 60 }] }));
      expect(issuedTo(named, request())).toMatch(/; Secure/);
    }
  });

  test("is not set for who has a key, asks for a version, or where one version serves everybody", () => {
    expect(issuedTo(split, request({ "X-User": "anna" }))).toBeUndefined();
    const override = { "Cloudflare-Workers-Version-Overrides": `shop="${STABLE}"` };
    expect(issuedTo(split, request(override))).toBeUndefined();
    const { affinity } = split;
    const single = { affinity, versions: [{ version_id: STABLE, number: 1, percentage: 100 }] };
    expect(issuedTo(compileSplit(record(single as Partial<DeploymentRecord>)), request())).toBeUndefined();
  });

  test("comes beside those that the version sets itself", () => {
    const headers = new Headers([
      ["Set-Cookie", "a=1"],
      ["Set-Cookie", "b=2"],
    ]);
    const decision = { ...split.candidate.key, identity: "3" };
    const decorated = decorate(split, request(), decision, new Response("x", { status: 201, headers }));
    expect(decorated.status).toBe(201);
    const ours = "id=3; Max-Age=60; Path=/; HttpOnly; SameSite=Lax";
    expect(decorated.headers.getSetCookie()).toEqual(["a=1", "b=2", ours]);
    expect(decorated.headers.has(VERSION_HEADER)).toBe(false);
  });
});

describe("a call through a service binding", () => {
  test("is never pinned and never given an identity, since it has no page and no cookies", () => {
    const retained = [{ version_id: OLD, number: 0, set: "s", until: null }];
    const affinity = [{ type: "issued_cookie", name: "id", max_age: 60 }] as const;
    const split = compileSplit(record({ affinity, retained }));
    const asked = request({}, `http://shop.localhost/?dpl=${OLD}`);
    expect(decide(split, asked, givenBy("", true)).reason).toBe("pin");
    const decision = decide(split, asked, givenBy("", false));
    expect([decision.reason, decision.identity]).toEqual(["random", undefined]);
  });
});

describe("a response that says its version", () => {
  test("names version and reason, and replaces a header of that name that the version set", () => {
    const split = compileSplit(record({ expose_version: true }));
    const response = new Response("x", { headers: { [VERSION_HEADER]: "mine" } });
    const header = decorate(split, request(), split.candidate.random, response).headers.get(VERSION_HEADER);
    expect(header).toBe(`${CANDIDATE};reason=random`);
  });
});

describe("a pin", () => {
  const retained = [
    { version_id: STABLE, number: 1, set: "s1", until: null },
    { version_id: OLD, number: 0, set: "s0", until: 1_000 },
  ];
  const split = compileSplit(record({ retained }));
  const pinned = (query: string, now = 0) =>
    pinOf(split, `http://shop.localhost/a.js${query}`, () => now)?.version.version_id;

  test("is the retained version that the address names, wherever in its query", () => {
    for (const query of [`?dpl=${STABLE}`, `?a=b&dpl=${STABLE}`, `?dpl=${STABLE}&a=b`, `?dpl=${STABLE}#x`]) {
      expect(pinned(query), query).toBe(STABLE);
    }
  });

  test("is ignored for a version that is not retained, or no longer, and for any other value", () => {
    expect(pinned(`?dpl=${CANDIDATE}`)).toBeUndefined();
    expect(pinned(`?dpl=${OLD}`, 999)).toBe(OLD);
    expect(pinned(`?dpl=${OLD}`, 1_000)).toBeUndefined();
    for (const query of ["", "?dpl=", "?dpl=x", `?xdpl=${STABLE}`, `?dpl=${STABLE}x`]) {
      expect(pinned(query), query).toBeUndefined();
    }
    expect(pinOf(compileSplit(record()), `http://a/?dpl=${STABLE}`, () => 0)).toBeUndefined();
  });

  test("is ignored where only one version may run", () => {
    const only = compileSplit(record({ retained, stable_only: true }));
    for (const id of [STABLE, OLD]) {
      expect(pinOf(only, `http://a/?dpl=${id}`, () => 0)).toBeUndefined();
    }
  });
});
