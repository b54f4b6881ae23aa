/** What a candidate must answer before anybody gets it. */
import { describe, expect, test } from "vitest";
import { trySmoke } from "../../src/registry/smoke.ts";
import type { SmokeRequest } from "../../src/rollout/types.ts";
import type { SmokeAnswer } from "../../src/runtime/messages.ts";

const get = (path: string, status: number | null = null): SmokeRequest => ({ path, method: "GET", status });

/** @param answers by path */
const tried = async (requests: readonly SmokeRequest[], answers: Readonly<Record<string, SmokeAnswer>>) => {
  const asked: string[] = [];
  const failure = await trySmoke(requests, async ({ path }) => {
    asked.push(path);
    return answers[path] ?? { status: 404 };
  });
  return { failure, asked };
};

describe("a smoke request", () => {
  test("accepts any status below 400, where the plan names none", async () => {
    for (const status of [200, 204, 302, 399]) {
      expect((await tried([get("/")], { "/": { status } })).failure).toBeUndefined();
    }
    for (const status of [400, 404, 500]) {
      expect((await tried([get("/")], { "/": { status } })).failure).toEqual({
        request: "GET /",
        why: `answered with ${status}, and the plan wants a status below 400`,
      });
    }
  });

  test("accepts the status that the plan names and no other one", async () => {
    expect((await tried([get("/login", 401)], { "/login": { status: 401 } })).failure).toBeUndefined();
    expect((await tried([get("/login", 401)], { "/login": { status: 200 } })).failure?.why).toBe(
      "answered with 200, and the plan wants 401",
    );
  });

  test("fails where there is no answer, and says why", async () => {
    const why = "did not answer within 10 s";
    expect((await tried([get("/slow")], { "/slow": { why } })).failure).toEqual({
      request: "GET /slow",
      why,
    });
  });

  test("is sent in the order of the plan, and none after the first one that fails", async () => {
    const ok = { status: 200 };
    const { failure, asked } = await tried([get("/a"), get("/b"), get("/c")], { "/a": ok, "/c": ok });
    expect(failure?.request).toBe("GET /b");
    expect(asked).toEqual(["/a", "/b"]);
  });
});
