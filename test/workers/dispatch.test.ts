import type { Context } from "hono";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { decide } from "../../src/router/decide.ts";
import { dispatch } from "../../src/router/dispatch.ts";
import { givenBy } from "../../src/router/given.ts";
import { moduleSource, type VersionModule } from "../../src/router/modules.ts";
import { type Sighting, type VersionSource, VersionUnavailable } from "../../src/router/ports.ts";
import { requestWith } from "../../src/router/signals.ts";
import { type Arm, compileSplit } from "../../src/router/split.ts";
import type { WatchedRollout } from "../../src/versions/record.ts";

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
  const split = splitAt(candidateShare);
  const decision = decide(split, requestWith("w", { override: version }), GIVEN);
  return dispatch({ source: moduleSource(modules) }, split, decision, requested());
}

function splitAt(candidateShare: number, rollout?: WatchedRollout) {
  return compileSplit({
    schema: 1,
    worker: "w",
    revision: 1,
    deployment_id: "d",
    enabled: true,
    versions: [
      { version_id: STABLE, number: 1, percentage: 100 - candidateShare },
      { version_id: CANDIDATE, number: 2, percentage: candidateShare },
    ],
    ...(rollout === undefined ? {} : { rollout }),
  });
}

function requested(): Context {
  const request = new Request("http://w.localhost/", { method: "POST", body: "the body" });
  return { req: { raw: request }, env: {}, executionCtx: {} } as unknown as Context;
}

/** What a rollout is told of one request to its baseline. @param load why it cannot be loaded */
async function toBaseline(load: VersionUnavailable): Promise<string[]> {
  const split = splitAt(10, { id: "r", candidate: CANDIDATE, baseline: 10 });
  const stable = () => new Response("stable");
  const source: VersionSource = {
    ready: (instance) => (instance === STABLE ? stable : undefined),
    load: () => Promise.reject(load),
  };
  const told: string[] = [];
  const sighting: Sighting = {
    answered: (response) => {
      told.push("answered");
      return response;
    },
    threw: () => void told.push("threw"),
    unavailable: () => void told.push("unavailable"),
  };
  const response = await dispatch({ source, sighting }, split, (split.baseline as Arm).key, requested());
  expect(await response.text()).toBe("stable");
  return told;
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

describe("a baseline that cannot be loaded", () => {
  test("has its clients counted with the answers of the stable version's own isolate, where its code is to blame", async () => {
    expect(await toBaseline(new VersionUnavailable(STABLE, "it does not load"))).toEqual(["answered"]);
  });

  test("has its clients counted no more than the candidate's, where the process of both is down", async () => {
    expect(await toBaseline(new VersionUnavailable(STABLE, "it is down", false))).toEqual(["unavailable"]);
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
