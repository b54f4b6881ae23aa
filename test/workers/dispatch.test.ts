import type { Context } from "hono";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { decide } from "../../src/router/decide.ts";
import { dispatch } from "../../src/router/dispatch.ts";
import { givenBy } from "../../src/router/given.ts";
import { moduleSource, type VersionModule } from "../../src/router/modules.ts";
import { requestWith } from "../../src/router/signals.ts";
import { compileSplit } from "../../src/router/split.ts";

const GIVEN = givenBy("", true);
const CANDIDATE = "candidate";
const STABLE = "stable";

const answering = (text: string): VersionModule => ({
  default: { fetch: async (request) => new Response(`${text} got ${await request.text()}`) },
});
const throwing: VersionModule = {
  default: {
    async fetch(request) {
      await request.text();
      throw new Error("a secret detail");
    },
  },
};

/** Sends one request to the version named, of the modules given. */
async function send(modules: Record<string, VersionModule>, version: string, candidateShare = 50) {
  const split = compileSplit({
    schema: 1,
    worker: "w",
    revision: 1,
    deployment_id: "d",
    enabled: true,
    versions: [
      { version_id: STABLE, number: 1, percentage: 100 - candidateShare },
      { version_id: CANDIDATE, number: 2, percentage: candidateShare },
    ],
  });
  const decision = decide(split, requestWith("w", { override: version }), GIVEN);
  const request = new Request("http://w.localhost/", { method: "POST", body: "the body" });
  const c = { req: { raw: request }, env: {}, executionCtx: {} } as unknown as Context;
  return dispatch({ source: moduleSource(modules) }, split, decision, c);
}

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a version that cannot be loaded", () => {
  test("is replaced by the stable one, which gets the whole request", async () => {
    const response = await send({ [STABLE]: answering("stable") }, CANDIDATE);
    expect([response.status, await response.text()]).toEqual([200, "stable got the body"]);
    expect(console.error).toHaveBeenCalledTimes(1);
  });

  test("is replaced by the candidate, but not by one that operators keep at 0%", async () => {
    const live = await send({ [CANDIDATE]: answering("candidate") }, STABLE);
    expect([live.status, await live.text()]).toEqual([200, "candidate got the body"]);
    const dark = await send({ [CANDIDATE]: answering("candidate") }, STABLE, 0);
    expect(dark.status).toBe(503);
  });

  test("leaves 503 and a time to try again where the other cannot be loaded either", async () => {
    const response = await send({}, CANDIDATE);
    expect(response.status).toBe(503);
    expect(Number(response.headers.get("Retry-After"))).toBeGreaterThan(0);
    expect(await response.text()).not.toContain(CANDIDATE);
  });
});

describe("a version that throws", () => {
  test("is its own answer: 500, nothing internal, and no second version gets the request", async () => {
    const stable = vi.fn(() => new Response("stable"));
    const response = await send(
      { [CANDIDATE]: throwing, [STABLE]: { default: { fetch: stable } } },
      CANDIDATE,
    );
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret detail");
    expect(stable).not.toHaveBeenCalled();
  });

  test("does not escape when it throws before its first await", async () => {
    const eager: VersionModule = {
      default: {
        fetch() {
          throw new Error("at once");
        },
      },
    };
    expect((await send({ [CANDIDATE]: eager }, CANDIDATE)).status).toBe(500);
  });
});
