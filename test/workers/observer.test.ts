/** What becomes of a request, as the router tells it and the registry hears it. */
import type { Context } from "hono";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LIMITS } from "../../src/lib/limits.ts";
import { Observer } from "../../src/rollout/observer.ts";
import type { FailureKind, Observations } from "../../src/rollout/records.ts";
import { dispatch } from "../../src/router/dispatch.ts";
import {
  type Sighting,
  type VersionHandler,
  VersionLost,
  type VersionSource,
  VersionUnavailable,
} from "../../src/router/ports.ts";
import { compileSplit, type Decision } from "../../src/router/split.ts";
import { flushCounts } from "../../src/versions/changes.ts";
import type { FailureRules } from "../../src/versions/types.ts";

const RULES: FailureRules = { statuses: [429], timeout_seconds: 5, body: false, dataset: null };

let sent: Observations[];
let couriers: Promise<unknown>[];
let losses: number;
let observer: Observer;
let rollouts = 0;
let rollout: string;

const ctx = { waitUntil: (promise: Promise<unknown>) => void couriers.push(promise) };

beforeEach(() => {
  vi.useFakeTimers();
  for (const level of ["warn", "error"] as const) vi.spyOn(console, level).mockImplementation(() => {});
  [sent, couriers, losses] = [[], [], 0];
  rollout = `rollout ${rollouts++}`;
  observer = new Observer(async (worker, id, report) => {
    if (losses-- > 0) throw new Error("nobody there");
    if (worker === "w" && id === rollout) sent.push(report);
  });
});

afterEach(async () => {
  await vi.advanceTimersByTimeAsync(60_000);
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const failures = () => sent.flatMap((report) => report.failures.map(({ arm, kind }) => [arm, kind]));
const visits = () => sent.flatMap((report) => report.visits).reduce((sum, each) => sum + each.visits, 0);
const clients = () => sent.flatMap((report) => report.clients.map(({ arm, ms }) => [arm, ms]));

const split = (failing: FailureRules | undefined = RULES) =>
  compileSplit({
    schema: 1,
    worker: "w",
    revision: 1,
    deployment_id: "d",
    enabled: true,
    versions: [
      { version_id: "stable", number: 1, percentage: 90 },
      { version_id: "candidate", number: 2, percentage: 10 },
    ],
    rollout: { id: rollout, candidate: "candidate", baseline: 10, ...(failing && { failures: failing }) },
  });

type Handlers = Record<string, VersionHandler | Error>;
const stable: VersionHandler = () => new Response("stable");

/** One request to the candidate, of a client with this key, through the router's own dispatch. */
async function send(handlers: Handlers, key: string | undefined = "key", address?: string) {
  const found = split();
  return sendAs(found.candidate.key, handlers, key, address);
}

async function sendAs(decision: Decision, handlers: Handlers, key?: string, address?: string) {
  const found = split();
  const { observed } = decision;
  const watched = found.record.rollout;
  if (observed === undefined || watched === undefined) throw new Error("this request does not count");
  const method = "GET";
  const sighting = observer.begin({ rollout: watched, decision, observed, method, key, address }, ctx);
  const source: VersionSource = {
    ready: (instance) => {
      const handler = handlers[instance];
      return typeof handler === "function" ? handler : undefined;
    },
    load: async (_, instance) => {
      throw handlers[instance] ?? new VersionUnavailable(instance, "it is missing");
    },
  };
  const c = { req: { raw: new Request("http://w/") }, env: {}, executionCtx: ctx } as unknown as Context;
  const to: { source: VersionSource; sighting: Sighting } = { source, sighting };
  return dispatch(to, found, decision, c);
}

const answering =
  (status: number, headers: Record<string, string> = {}): VersionHandler =>
  () =>
    new Response("", { status, headers });
const throwing =
  (error: Error): VersionHandler =>
  () =>
    Promise.reject(error);

describe("a request", () => {
  test.each<[string, Handlers, FailureKind | undefined]>([
    ["that is answered is a visit and no failure", { candidate: answering(200) }, undefined],
    ["that is answered with an error of the client is none", { candidate: answering(404) }, undefined],
    ["that is answered with 5xx is a failure", { candidate: answering(503) }, "status"],
    ["that is answered with a status of the plan is a failure", { candidate: answering(429) }, "status"],
    ["that the version says was bad", { candidate: answering(200, { "Sluice-Outcome": "bad" }) }, "outcome"],
    [
      "that the version says was good",
      { candidate: answering(200, { "Sluice-Outcome": "good" }) },
      undefined,
    ],
    ["that is answered by an exception", { candidate: throwing(new Error("no")) }, "exception"],
    ["whose process ended", { candidate: throwing(new VersionLost("candidate", "gone")) }, "lost"],
    [
      "that the stable version answered because the candidate does not load",
      { candidate: new VersionUnavailable("candidate", "it does not compile", true), stable },
      "unavailable",
    ],
    [
      "that the stable version answered because the process is down is nobody's failure",
      { candidate: new VersionUnavailable("candidate", "it is being restarted", false), stable },
      undefined,
    ],
  ])("%s", async (_, handlers, kind) => {
    await send(handlers);
    await pass(20_000);
    expect(visits()).toBe(1);
    expect(failures()).toEqual(kind === undefined ? [] : [["candidate", kind]]);
  });

  test("that the stable version answered says nothing about how fast the candidate is", async () => {
    await send({ candidate: new VersionUnavailable("candidate", "it is being restarted", false), stable });
    await pass(20_000);
    expect(clients()).toEqual([]);
  });

  test("that the stable version answered badly is no failure of the candidate", async () => {
    const candidate = new VersionUnavailable("candidate", "it is being restarted", false);
    await send({ candidate, stable: answering(500) });
    await pass(20_000);
    expect(failures()).toEqual([]);
  });

  test("of the baseline's clients is the reference's, also where the stable version answers in its stead", async () => {
    const decision = split().baseline?.key as Decision;
    const down = new VersionUnavailable("stable", "it is being restarted", false);
    const answer = await sendAs(decision, { "stable.baseline": down, stable }, "key");
    await pass(20_000);
    expect(await answer.text()).toBe("stable");
    expect(sent.flatMap((report) => report.visits)).toMatchObject([{ arm: "reference", visits: 1 }]);
    expect([failures(), clients()]).toEqual([[], []]);
  });

  test("that hangs is a failure when the plan's time is over, although no other request comes", async () => {
    const answer = send({
      candidate: () => new Promise((resolve) => setTimeout(resolve, 30_000, new Response())),
    });
    await pass(4_000);
    expect(failures()).toEqual([]);
    await pass(3_000);
    expect(failures()).toEqual([["candidate", "timeout"]]);
    await pass(30_000);
    await answer;
    expect(failures()).toHaveLength(1);
  });

  test("counts as it was decided: fast answers and slow ones, of the client's first seconds", async () => {
    const slow: VersionHandler = async () => {
      await pass(70);
      return new Response();
    };
    await send({ candidate: slow });
    await send({ candidate: answering(200) });
    await pass(20_000);
    expect(clients()).toEqual([["candidate", 70]]);
  });

  test("without a key counts by its network, however many come", async () => {
    for (let i = 0; i < 100; i++) await send({ candidate: answering(500) }, "", "10.1.2.3");
    await pass(20_000);
    expect(failures()).toHaveLength(1);
    const decision = split().candidate.random;
    for (let i = 0; i < 100; i++) {
      await sendAs(decision, { candidate: answering(500) }, undefined, `10.1.2.${i}`);
    }
    await pass(20_000);
    expect(failures()).toHaveLength(1 + LIMITS.rollouts.observationsPerPrefix);
  });
});

describe("reports", () => {
  test("are sent again under the same number until they arrive", async () => {
    losses = 3;
    await send({ candidate: answering(500) });
    await pass(2_500);
    expect(sent).toEqual([]);
    await pass(2_000);
    expect(failures()).toHaveLength(1);
    await pass(20_000);
    expect(sent.map(({ seq }) => seq)).toEqual(sent.map((_, i) => i));
    expect(new Set(sent.map(({ sender }) => sender)).size).toBe(1);
  });

  test("are sent behind one request at a time, and none goes on once there is nothing to say", async () => {
    for (let i = 0; i < 10; i++) await send({ candidate: answering(200) }, `client ${i}`);
    expect(couriers).toHaveLength(1);
    await pass(20_000);
    await Promise.all(couriers);
  });

  test("go on where the request that sent them was ended in the middle", async () => {
    await send({ candidate: answering(200) }, "first");
    vi.clearAllTimers();
    await pass(LIMITS.rollouts.observerLostMs);
    await send({ candidate: answering(500) }, "second");
    await pass(2_000);
    expect(failures()).toHaveLength(1);
  });

  test("are sent at once when the counts of the process are asked for", async () => {
    await send({ candidate: answering(500) });
    await flushCounts();
    expect(failures()).toHaveLength(1);
  });
});
