/** The routes and custom domains of an account: one Worker each, replaced as a whole, published by revision. */
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { Routing } from "../../src/account/routing.ts";
import { compileRoutes, workerAt } from "../../src/router/routes.ts";
import { openSqlite } from "../support/sqlite.ts";

let routing: Routing;
beforeEach(() => {
  routing = new Routing(openSqlite());
});

const routesOf = (worker: string) =>
  routing
    .routes()
    .filter((route) => route.worker === worker)
    .map(({ pattern }) => pattern);
const domainsOf = (worker: string) =>
  routing
    .domains()
    .filter((domain) => domain.worker === worker)
    .map(({ hostname }) => hostname);
const domain = (hostname: string) => ({ hostname, zone: "example.com" });

describe("routes", () => {
  test("replace those that the Worker had, and leave other Workers' alone", () => {
    routing.setRoutes("shop", ["example.com/a*", "example.com/b*"]);
    routing.setRoutes("blog", ["example.com/blog*"]);
    expect(routing.setRoutes("shop", ["example.com/b*", "example.com/c*"])).toMatchObject({
      ok: true,
      value: [{ pattern: "example.com/b*" }, { pattern: "example.com/c*" }],
    });
    expect(routesOf("shop")).toEqual(["example.com/b*", "example.com/c*"]);
    expect(routesOf("blog")).toEqual(["example.com/blog*"]);
  });

  test("keep the id of a pattern that stays", () => {
    const idOf = (pattern: string) => routing.routes().find((route) => route.pattern === pattern)?.id;
    routing.setRoutes("shop", ["example.com/a*"]);
    const before = idOf("example.com/a*");
    routing.setRoutes("shop", ["example.com/b*", "example.com/a*"]);
    expect(idOf("example.com/a*")).toBe(before);
    expect(idOf("example.com/b*")).not.toBe(before);
  });

  test.each(["example.com/a*", "EXAMPLE.com/a*", "https://example.com/a*", "http://Example.Com/a*"])(
    "of another Worker are refused, however they are written: %s",
    (pattern) => {
      routing.setRoutes("shop", ["example.com/a*"]);
      routing.setRoutes("blog", ["example.com/blog*"]);
      const revision = routing.record().revision;
      expect(routing.setRoutes("blog", ["example.com/new*", pattern])).toEqual({
        ok: false,
        error: { reason: "route-taken", pattern, worker: "shop" },
      });
      expect(routesOf("blog"), "a refusal changes nothing").toEqual(["example.com/blog*"]);
      expect(routing.record().revision).toBe(revision);
    },
  );

  test("may differ in the case of their path only", () => {
    routing.setRoutes("shop", ["example.com/a*"]);
    expect(routing.setRoutes("blog", ["example.com/A*"]).ok).toBe(true);
  });

  test("whose paths overlap may belong to two Workers", () => {
    routing.setRoutes("shop", ["example.com/*"]);
    expect(routing.setRoutes("blog", ["example.com/blog*", "*.example.com/*"]).ok).toBe(true);
  });
});

describe("custom domains", () => {
  test("replace those that the Worker had", () => {
    routing.setDomains("shop", [domain("a.example.com"), domain("b.example.com")], false);
    routing.setDomains("shop", [domain("b.example.com"), domain("c.example.com")], false);
    expect(domainsOf("shop")).toEqual(["b.example.com", "c.example.com"]);
  });

  test("of another Worker are refused, and nothing changes", () => {
    routing.setDomains("shop", [domain("a.example.com")], false);
    routing.setDomains("blog", [domain("old.example.com")], false);
    const before = routing.record();
    expect(routing.setDomains("blog", [domain("a.example.com"), domain("new.example.com")], false)).toEqual({
      ok: false,
      error: { reason: "domain-taken", hostname: "a.example.com", worker: "shop" },
    });
    expect(routing.record()).toEqual(before);
  });

  test("of another Worker are taken over on demand, with their id", () => {
    routing.setDomains("shop", [domain("a.example.com"), domain("b.example.com")], false);
    const [{ id } = { id: "" }] = routing.domains();
    expect(routing.setDomains("blog", [domain("a.example.com")], true)).toMatchObject({
      ok: true,
      value: [{ id, hostname: "a.example.com", worker: "blog" }],
    });
    expect(domainsOf("shop")).toEqual(["b.example.com"]);
  });

  test("can be asked what would change, and then have not changed", () => {
    routing.setDomains("shop", [domain("mine.example.com"), domain("gone.example.com")], false);
    routing.setDomains("blog", [domain("theirs.example.com")], false);
    const before = routing.record();
    const wanted = ["mine", "theirs", "new"].map((label) => domain(`${label}.example.com`));
    expect(routing.domainChanges("shop", wanted)).toMatchObject({
      added: [{ hostname: "new.example.com", worker: "shop" }],
      removed: [{ hostname: "gone.example.com", worker: "shop" }],
      updated: [
        { hostname: "mine.example.com", worker: "shop", modified: false },
        { hostname: "theirs.example.com", worker: "blog", modified: true },
      ],
    });
    expect(routing.record()).toEqual(before);
  });
});

describe("a Worker that was deleted", () => {
  test("has no route or domain left, and other Workers keep theirs", () => {
    for (const worker of ["shop", "blog"]) {
      routing.setRoutes(worker, [`example.com/${worker}*`]);
      routing.setDomains(worker, [domain(`${worker}.example.com`)], false);
    }
    routing.forget("shop");
    expect(routing.record()).toMatchObject({
      domains: { "blog.example.com": "blog" },
      routes: [{ pattern: "example.com/blog*", worker: "blog" }],
    });
  });
});

describe("a revision", () => {
  test("is new after every change, and no change is published before it is said to be", () => {
    expect(routing.isPublished, "nothing to publish yet").toBe(true);
    const changes = [
      () => routing.setRoutes("shop", ["example.com/*"]),
      () => routing.setDomains("shop", [domain("a.example.com")], false),
      () => routing.setRoutes("shop", []),
      () => routing.forget("shop"),
    ];
    for (const [i, change] of changes.entries()) {
      change();
      expect(routing.record().revision).toBe(i + 1);
      expect(routing.isPublished).toBe(false);
      routing.setPublished(i + 1);
      expect(routing.isPublished).toBe(true);
    }
  });

  test("that is reported late does not hide a newer one, nor undo it", () => {
    routing.setRoutes("shop", ["example.com/a*"]);
    routing.setRoutes("shop", ["example.com/b*"]);
    routing.setPublished(1);
    expect(routing.isPublished).toBe(false);
    routing.setPublished(2);
    routing.setPublished(1);
    expect(routing.isPublished).toBe(true);
  });

  test("survives a restart unchanged", () => {
    const sql = openSqlite();
    const first = new Routing(sql);
    first.setRoutes("shop", ["example.com/a*"]);
    const restarted = new Routing(sql);
    expect(restarted.record()).toEqual(first.record());
    expect(restarted.isPublished).toBe(false);
  });
});

test("after any changes, a pattern and a hostname belong to one Worker, and the router finds that Worker", () => {
  const worker = fc.constantFrom("shop", "blog", "docs");
  const label = fc.constantFrom("a", "b", "c", "d");
  const change = fc.oneof(
    fc.record({ type: fc.constant("routes"), worker, labels: fc.uniqueArray(label), takeOver: fc.boolean() }),
    fc.record({
      type: fc.constant("domains"),
      worker,
      labels: fc.uniqueArray(label),
      takeOver: fc.boolean(),
    }),
    fc.record({ type: fc.constant("forget"), worker, labels: fc.constant([]), takeOver: fc.boolean() }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
      const sut = new Routing(openSqlite());
      const owners = new Map<string, string>();
      const give = (who: string, prefix: string, names: readonly string[]) => {
        for (const [name, owner] of owners) if (owner === who && name.startsWith(prefix)) owners.delete(name);
        for (const name of names) owners.set(name, who);
      };
      for (const { type, worker: who, labels, takeOver } of changes) {
        if (type === "forget") {
          sut.forget(who);
          give(who, "", []);
          continue;
        }
        const names = labels.map((each) => (type === "routes" ? `r:r.test/${each}*` : `d:${each}.test`));
        const isTaken = names.some((name) => owners.has(name) && owners.get(name) !== who);
        const set =
          type === "routes"
            ? sut.setRoutes(
                who,
                names.map((name) => name.slice(2)),
              )
            : sut.setDomains(
                who,
                names.map((name) => ({ hostname: name.slice(2), zone: "test" })),
                takeOver,
              );
        expect(set.ok).toBe(!isTaken || (type === "domains" && takeOver));
        if (set.ok) give(who, type === "routes" ? "r:" : "d:", names);
      }
      const record = sut.record();
      const found = [
        ...record.routes.map(({ pattern, worker: owner }) => [`r:${pattern}`, owner] as const),
        ...Object.entries(record.domains).map(([hostname, owner]) => [`d:${hostname}`, owner] as const),
      ];
      expect(new Map(found)).toEqual(owners);
      const compiled = compileRoutes(record);
      for (const [name, owner] of owners) {
        const [host = "", path = ""] = name.slice(2).replace("*", "").split("/");
        expect(workerAt(compiled, host, `/${path}`)).toBe(owner);
      }
    }),
    { numRuns: 60 },
  );
});
