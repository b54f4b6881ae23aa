import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Env } from "../../src/lib/env.ts";
import { LIMITS } from "../../src/lib/limits.ts";
import { fleetOf } from "../../src/runtime/fleet.ts";
import type { FollowerMessage } from "../../src/runtime/messages.ts";

const SHARE = { version_id: "v", number: 1, percentage: 100 };

type Answer = (message: FollowerMessage, signal: AbortSignal) => Promise<Response>;

/** A binding to a process whose answers are these. */
const processOf = (answer: Answer) =>
  ({
    fetch: (_: string, init: { body: string; signal: AbortSignal }) =>
      answer(JSON.parse(init.body), init.signal),
  }) as unknown as Fetcher;

const answering = processOf(async () => Response.json({ why: null }));
const refusing = processOf(async () => Response.json({ why: "version v cannot be loaded" }));
const gone = processOf(() => Promise.reject(new Error("Connection refused")));
const hanging = processOf(
  (_, signal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error))),
);

function fleet(...processes: Fetcher[]) {
  const bindings = Object.fromEntries(processes.map((process, i) => [`F${i}`, process]));
  return fleetOf(
    {
      SLUICE_FOLLOWERS: Object.keys(bindings).map((name) => ({ name, lane: "traffic" })),
      ...bindings,
    } as unknown as Env,
    answering,
  );
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, "error").mockImplementation(() => {});
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a publication", () => {
  test("is complete when every process has it", async () => {
    expect(await fleet(answering, answering).publish("w", null)).toBe(true);
    expect(await fleet().publish("w", null)).toBe(true);
  });

  test.each([
    ["is gone", gone],
    ["does not answer", hanging],
  ])("is not complete where one of them %s, and does not wait for ever", async (_, silent) => {
    const published = fleet(answering, silent).publish("w", null);
    await vi.advanceTimersByTimeAsync(LIMITS.publishing.acknowledgeMs);
    expect(await published).toBe(false);
  });
});

describe("a preparation", () => {
  test("fails with the reason of the process that cannot load a version", async () => {
    expect(await fleet(answering, refusing).prepare("w", [SHARE])).toBe("version v cannot be loaded");
  });

  test("passes over a process that is gone: it reads the deployment when it starts", async () => {
    expect(await fleet(gone, answering).prepare("w", [SHARE])).toBeUndefined();
  });
});

test("a preparation names the isolates that each kind of process runs, a rollout's baseline among them", async () => {
  const told: [string, readonly string[]][] = [];
  const noting = (name: string) =>
    processOf(async (message) => {
      if (message.type === "prepare") told.push([name, message.instances]);
      return Response.json({ why: null });
    });
  const lanes = ["traffic", "canary", "objects"] as const;
  const env = {
    SLUICE_FOLLOWERS: lanes.map((lane) => ({ name: lane, lane })),
    ...Object.fromEntries(lanes.map((lane) => [lane, noting(lane)])),
  };
  const shares = [
    { ...SHARE, percentage: 95 },
    { version_id: "c", number: 2, percentage: 5 },
  ];
  const several = fleetOf(env as unknown as Env, answering);
  await several.prepare("w", shares, { id: "r", candidate: "c", baseline: 5 });
  expect(told).toEqual([
    ["traffic", ["v"]],
    ["canary", ["c", "v.baseline"]],
  ]);
});

test("a fleet with a process that is gone is not ready", async () => {
  expect(await fleet(answering, gone).ready()).toBe(false);
  expect(await fleet(answering, answering).ready()).toBe(true);
});

describe("a fleet in safe mode", () => {
  const CANDIDATE = { version_id: "c", number: 2, percentage: 100 };
  const split = [
    { ...SHARE, percentage: 90 },
    { ...CANDIDATE, percentage: 10 },
  ];
  const told: FollowerMessage[] = [];
  const noting = processOf(async (message) => {
    told.push(message);
    return Response.json({ why: null });
  });
  const safeFleet = (more: object, self: Fetcher) =>
    fleetOf({ SLUICE_SAFE_MODE: "on", ...more } as unknown as Env, self);

  beforeEach(() => {
    told.length = 0;
  });

  test("loads and publishes the stable version only, whatever is deployed", async () => {
    const safe = safeFleet({ SLUICE_FOLLOWERS: [] }, noting);
    await safe.prepare("w", split);
    const record = { schema: 1, worker: "w", revision: 1, deployment_id: "d", enabled: true } as const;
    await safe.publish("w", { ...record, versions: split });
    await safe.publish("w", null);
    expect(told).toEqual([
      { type: "prepare", worker: "w", instances: ["v"] },
      { type: "publish", worker: "w", record: { ...record, versions: [SHARE], stable_only: true } },
      { type: "publish", worker: "w", record: null },
    ]);
  });

  test("loads nothing where no process serves, and still takes deployments", async () => {
    const offline = safeFleet({ SLUICE_FOLLOWERS: [], SLUICE_LANE: "control" }, noting);
    expect(await offline.prepare("w", [CANDIDATE])).toBeUndefined();
    expect(await offline.publish("w", null)).toBe(true);
    expect(told).toEqual([]);
  });
});
