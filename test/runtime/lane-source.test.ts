import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type VersionModule, moduleSource } from "../../src/router/modules.ts";
import { VersionLost, VersionUnavailable } from "../../src/router/ports.ts";
import { LaneSource } from "../../src/runtime/lane-source.ts";
import {
  LANE_HEADER,
  readCall,
  readUnloadable,
  UNLOADABLE_HEADER,
  writeUnloadable,
} from "../../src/runtime/lane-protocol.ts";
import { notify } from "../../src/versions/changes.ts";
import { baselineOf } from "../../src/versions/placement.ts";
import type { DeploymentRecord } from "../../src/versions/record.ts";

const WORKER = "shop";
const BASELINE = baselineOf("stable");
const CTX = {} as ExecutionContext;
const WITHOUT_ROLLOUT: DeploymentRecord = {
  schema: 1,
  worker: WORKER,
  revision: 1,
  deployment_id: "d",
  enabled: true,
  versions: [
    { version_id: "stable", number: 1, percentage: 90 },
    { version_id: "candidate", number: 2, percentage: 10 },
  ],
};
const RECORD: DeploymentRecord = {
  ...WITHOUT_ROLLOUT,
  rollout: { id: "r", candidate: "candidate", baseline: 10 },
};
const NOBODY = { suspected: [], confined: [] };

/** The stable version's module in this process. */
const HERE: VersionModule = { default: { fetch: () => new Response("here") } };

/** What the canary process answers. */
type Canary = (instance: string, onlyLoad: boolean) => Response | Promise<Response>;

/** Says which isolate has answered. */
const answering: Canary = (instance) => new Response(instance);

let canary: Canary;
let record: DeploymentRecord;
let source: LaneSource;
beforeEach(() => {
  canary = answering;
  record = RECORD;
  const remote = {
    fetch: async (input: RequestInfo, init?: RequestInit) => {
      const { instance, onlyLoad } = readCall(new Request(input, init).headers.get(LANE_HEADER) ?? "");
      return canary(instance, onlyLoad);
    },
  } as unknown as Fetcher;
  source = new LaneSource(moduleSource({ stable: HERE }), remote, async () => record);
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Sends a request to an isolate, which is loaded first where it is not ready. */
async function ask(instance: string): Promise<string> {
  const handler = source.ready(instance) ?? (await source.load(WORKER, instance));
  return (await handler(new Request("http://shop/"), {}, CTX)).text();
}

/** Why an isolate cannot be loaded. */
const refusal = (instance: string): Promise<unknown> => source.load(WORKER, instance).catch((error) => error);

describe("a baseline", () => {
  test("runs beside the candidate, while the stable version runs here", async () => {
    expect([await ask("stable"), await ask("candidate"), await ask(BASELINE)]).toEqual([
      "here",
      "candidate",
      BASELINE,
    ]);
    expect([source.isApart("stable"), source.isApart(BASELINE)]).toEqual([false, true]);
  });

  test("is ready as soon as its rollout is known, and no longer once that has ended", () => {
    expect(source.ready(BASELINE)).toBeUndefined();
    notify(WORKER, RECORD);
    expect(source.ready(BASELINE)).toBeDefined();
    notify(WORKER, WITHOUT_ROLLOUT);
    expect([source.isApart(BASELINE), source.isApart("candidate")]).toEqual([false, true]);
  });

  test("waits while a candidate is suspected, which then runs alone; the stable version answers in its name", async () => {
    source.setCanary(true, { suspected: ["candidate"], confined: [] });
    expect([await ask(BASELINE), await ask("candidate")]).toEqual(["here", "candidate"]);
    source.setCanary(true, NOBODY);
    expect(await ask(BASELINE)).toBe(BASELINE);
    source.setCanary(true, { suspected: ["candidate"], confined: [] });
    expect(await ask(BASELINE)).toBe("here");
  });

  test("is as unavailable as its candidate while their process is down", async () => {
    notify(WORKER, RECORD);
    source.setCanary(false, { suspected: ["candidate"], confined: [] });
    expect([source.ready(BASELINE), source.ready("candidate")]).toEqual([undefined, undefined]);
    expect(await refusal(BASELINE)).toMatchObject({ version: "stable", isItsFault: false });
  });

  test("that is lost with the process is told apart from a version that may have ended it", async () => {
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    canary = async (instance, onlyLoad) => {
      if (!onlyLoad) await ended;
      throw new Error(`${instance} is gone`);
    };
    notify(WORKER, RECORD);
    const lost = Promise.allSettled([ask("candidate"), ask(BASELINE)]);
    await vi.waitFor(() => expect(source.isApart(BASELINE)).toBe(true));
    await Promise.resolve();
    expect(source.setCanary(false, NOBODY)).toEqual([
      { worker: WORKER, version: "candidate", isBaseline: false },
      { worker: WORKER, version: "stable", isBaseline: true },
    ]);
    end();
    for (const each of await lost) expect(each).toMatchObject({ reason: expect.any(VersionLost) });
  });
});

describe("a version that cannot be loaded", () => {
  test("is not at fault while its process is down, or does not answer", async () => {
    canary = () => Promise.reject(new Error("Connection refused"));
    expect(await refusal("candidate")).toMatchObject({ isItsFault: false });
    source.setCanary(false, NOBODY);
    expect(await refusal("candidate")).toMatchObject({ isItsFault: false });
  });

  test("is not at fault while it waits until it can run alone", async () => {
    canary = (instance, onlyLoad) =>
      onlyLoad || instance !== "other" ? new Response(instance) : new Promise<Response>(() => {});
    source.setCanary(true, { suspected: ["candidate"], confined: [] });
    void ask("other");
    await vi.waitFor(async () => expect(await refusal("candidate")).toBeInstanceOf(VersionUnavailable));
    expect(await refusal("candidate")).toMatchObject({ isItsFault: false });
  });

  test("is at fault in quarantine", async () => {
    record = { ...RECORD, quarantined: ["candidate"] };
    expect(await refusal("candidate")).toMatchObject({ isItsFault: true });
  });

  test.each([true, false])("is at fault where the other process says so: %s", async (isItsFault) => {
    const headers = { [UNLOADABLE_HEADER]: writeUnloadable({ why: "it doesn’t start", isItsFault }) };
    canary = () => new Response(null, { status: 503, headers });
    expect(await refusal(BASELINE)).toMatchObject({ version: "stable", why: "it doesn’t start", isItsFault });
  });
});

test("why an isolate cannot be loaded goes from one process to another unchanged", () => {
  for (const isItsFault of [true, false]) {
    const unloadable = { why: "5 % of “it” failed\n", isItsFault };
    expect(readUnloadable(writeUnloadable(unloadable))).toEqual(unloadable);
  }
});
