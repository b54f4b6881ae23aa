import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileRoutes, isHostname, isWholeHost, parsePattern, workerAt } from "../../src/router/routes.ts";

const compile = (routes: Record<string, string>, domains: Record<string, string> = {}) =>
  compileRoutes({
    schema: 1,
    revision: 1,
    domains,
    routes: Object.entries(routes).map(([pattern, worker]) => ({ pattern, worker })),
  });

describe("a route", () => {
  test("matches its host and its path, and with a * at its end every longer path", () => {
    const routes = compile({ "example.com/*": "all", "example.com/api/*": "api", "example.com/one": "one" });
    for (const [path, worker] of [
      ["/", "all"],
      ["/api", "all"],
      ["/api/", "api"],
      ["/api/x?y", "api"],
      ["/one", "one"],
      ["/one?x", "all"],
      ["/one/more", "all"],
    ] as const) {
      expect(workerAt(routes, "example.com", path), path).toBe(worker);
    }
    expect(workerAt(routes, "www.example.com", "/")).toBeUndefined();
    expect(workerAt(routes, "example.com.evil", "/")).toBeUndefined();
  });

  test("with a * before its host matches subdomains, and without a dot the host itself", () => {
    const routes = compile({ "*.example.com/*": "sub", "*example.org/*": "any" });
    expect(workerAt(routes, "a.example.com", "/")).toBe("sub");
    expect(workerAt(routes, "a.b.example.com", "/")).toBe("sub");
    expect(workerAt(routes, "example.com", "/")).toBeUndefined();
    expect(workerAt(routes, "example.org", "/")).toBe("any");
    expect(workerAt(routes, "an-example.org", "/")).toBe("any");
  });

  test("loses to a more specific one, whatever their order", () => {
    const patterns = {
      "*.example.com/*": "wild",
      "shop.example.com/*": "shop",
      "shop.example.com/cart*": "cart",
      "*shop.example.com/cart/pay": "no",
    };
    for (const order of [Object.entries(patterns), Object.entries(patterns).reverse()]) {
      const routes = compile(Object.fromEntries(order), { "shop.example.com": "domain" });
      expect(workerAt(routes, "shop.example.com", "/")).toBe("shop");
      expect(workerAt(routes, "shop.example.com", "/cart/pay")).toBe("cart");
      expect(workerAt(routes, "other.example.com", "/")).toBe("wild");
    }
  });

  test("comes before a custom domain of its host, which has the rest", () => {
    const routes = compile({ "example.com/api/*": "api" }, { "example.com": "site" });
    expect(workerAt(routes, "example.com", "/api/x")).toBe("api");
    expect(workerAt(routes, "example.com", "/")).toBe("site");
  });

  test("is refused where it could not match the intended requests", () => {
    for (const [pattern, why] of [
      ["", "does not begin with a hostname"],
      ["/path", "does not begin with a hostname"],
      ["exa*mple.com/*", "has a * in its middle"],
      ["example.com/*/x", "has a * in its middle"],
      ["example.com/?q=1", "has a query"],
      ["exa mple.com/*", "does not begin with a hostname"],
      ["-a.example.com/*", "does not begin with a hostname"],
    ] as const) {
      expect(parsePattern(pattern), pattern).toMatchObject({
        ok: false,
        error: expect.stringContaining(why),
      });
    }
    expect(parsePattern("https://Example.com/a*")).toMatchObject({
      ok: true,
      value: { host: "example.com" },
    });
  });
});

describe("a host", () => {
  test("is remembered as a whole only where every path leads to the same Worker", () => {
    const routes = compile({ "a.example.com/*": "a", "b.example.com/x*": "b" }, { "c.example.com": "c" });
    expect(isWholeHost(routes, "a.example.com")).toBe(true);
    expect(isWholeHost(routes, "b.example.com")).toBe(false);
    expect(isWholeHost(routes, "c.example.com")).toBe(true);
    expect(isWholeHost(routes, "nobody.example.com")).toBe(true);
  });

  test("belongs to one Worker on all paths where it is remembered", () => {
    const host = fc.constantFrom("example.com", "a.example.com", "b.example.com");
    const pattern = fc.tuple(fc.constantFrom("", "*", "*."), host, fc.constantFrom("/*", "/", "/x*", "/x/y"));
    const patterns = fc.uniqueArray(
      pattern.map((parts) => parts.join("")),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(patterns, host, fc.webPath(), (all, asked, path) => {
        const routes = compile(Object.fromEntries(all.map((each, i) => [each, `w${i}`])));
        return (
          !isWholeHost(routes, asked) ||
          workerAt(routes, asked, `/${path}`.replace("//", "/")) === workerAt(routes, asked, "/")
        );
      }),
    );
  });

  test("is a name that DNS knows, or no custom domain", () => {
    expect(["example.com", "a-b.example.co.uk", "xn--bcher-kva.example"].every(isHostname)).toBe(true);
    expect(
      ["", "*.example.com", "exam ple.com", "a..b", "-a.com", "a/b", "a".repeat(254)].some(isHostname),
    ).toBe(false);
  });
});
