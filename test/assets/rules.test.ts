import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseHeaders, parseRedirects } from "../../src/assets/rules.ts";

const lines = (...all: string[]) => all.join("\n");

describe("_headers", () => {
  test("gives each path the lines below it, and skips comments and empty lines", () => {
    const file = lines(
      "# all of them",
      "/*",
      "  X-Frame-Options: DENY",
      "  Link: </a.css>; rel=preload",
      "  Link: </b.css>; rel=preload",
      "",
      "/secret/:page",
      "  ! X-Frame-Options",
      "  X-Robots-Tag: noindex",
      "https://:project.example.com/*",
      "  X-Robots-Tag: noindex",
    );
    expect(parseHeaders(file)).toEqual({
      ok: true,
      value: {
        version: 2,
        rules: {
          "/*": { set: { "x-frame-options": "DENY", link: "</a.css>; rel=preload, </b.css>; rel=preload" } },
          "/secret/:page": { set: { "x-robots-tag": "noindex" }, unset: ["X-Frame-Options"] },
          "https://:project.example.com/*": { set: { "x-robots-tag": "noindex" } },
        },
      },
    });
  });

  test("is refused with the line that is wrong", () => {
    for (const [file, why] of [
      ["X-A: b", 'line 1 ("X-A: b") comes before any path'],
      [lines("/a", "X-A"), 'line 2 ("X-A") is not a header'],
      [lines("/a", "X-A:"), 'line 2 ("X-A:") is not a header'],
      [lines("/a", "X A: b"), 'line 2 ("X A: b") is not a header'],
      ["/*/*", 'line 1 ("/*/*") has more than one *'],
      ["http://a.example/*", "is neither a path nor a URL with https"],
      ["x".repeat(2_001), "line 1 has more than 2000 characters"],
      [lines(...Array.from({ length: 101 }, (_, i) => `/${i}\n  A: b`)), "is rule 101; 100 are allowed"],
    ] as const) {
      expect(parseHeaders(file), file.slice(0, 40)).toMatchObject({
        ok: false,
        error: expect.stringContaining(why),
      });
    }
  });

  test("never throws, whatever stands there", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 500 }),
        (file) => typeof parseHeaders(file).ok === "boolean",
      ),
    );
  });
});

describe("_redirects", () => {
  const parse = (file: string) => parseRedirects(file, "auto-trailing-slash");

  test("is split into rules that are looked up and rules that are matched, in their order", () => {
    const file = lines(
      "/old /new 301 # moved",
      "/search https://example.com/?q=a#b",
      "/blog/* /news/:splat 308",
      "/late /new",
    );
    expect(parse(file)).toEqual({
      ok: true,
      value: {
        version: 1,
        staticRules: {
          "/old": { status: 301, to: "/new", lineNumber: 1 },
          "/search": { status: 302, to: "https://example.com/?q=a#b", lineNumber: 2 },
        },
        rules: { "/blog/*": { status: 308, to: "/news/:splat" }, "/late": { status: 302, to: "/new" } },
      },
    });
  });

  test("is refused with the line that is wrong", () => {
    for (const [file, why] of [
      ["/a", "must be a path, a target and at most a status"],
      ["/a /b 301 more", "must be a path, a target and at most a status"],
      ["a /b", "must begin with a path"],
      ["https://a.example/ /b", "must begin with a path"],
      ["/a b", "must redirect to a path or a URL with https"],
      ["/a /b 404", "has the status 404"],
      ["/a https://b.example/ 200", "proxies (200) to another host"],
      ["/* /index.html 200", "redirects to itself"],
      [lines("/a /b", "/a /c"), 'line 2 ("/a /c") repeats a path'],
      [
        lines(...Array.from({ length: 101 }, (_, i) => `/${i}/* /b`)),
        "is rule 101 counted from the first rule",
      ],
      [lines(...Array.from({ length: 2_001 }, (_, i) => `/${i} /b`)), "is static rule 2001"],
    ] as const) {
      expect(parse(file), file.slice(0, 40)).toMatchObject({
        ok: false,
        error: expect.stringContaining(why),
      });
    }
  });

  test("may lead a folder to its index where nothing removes that again", () => {
    expect(parseRedirects("/a/ /b/index.html", "none").ok).toBe(true);
    expect(parse("/a/ /b/index.html").ok).toBe(false);
  });

  test("never throws, whatever stands there", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 500 }),
        (file) => typeof parse(file).ok === "boolean",
      ),
    );
  });
});
