import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LIMITS } from "../../src/lib/limits.ts";
import { Snapshot } from "../../src/router/snapshot.ts";
import type { Split } from "../../src/router/split.ts";
import { notify } from "../../src/versions/changes.ts";
import type { DeploymentRecord, WorkerSummary } from "../../src/versions/record.ts";
import { writeRecord } from "../../src/versions/replica.ts";

/** Workers KV as far as it is used, with a switch for its failure and a hand on the moment of its answer. */
class FakeKV {
  readonly values = new Map<string, string>();
  failing = false;
  reads = 0;
  /** Runs after the value was taken and before the reader gets it. */
  beforeAnswer: () => Promise<void> = async () => {};

  async get(key: string): Promise<string | null> {
    this.reads++;
    if (this.failing) throw new Error("KV is down");
    const value = this.values.get(key) ?? null;
    const { beforeAnswer } = this;
    this.beforeAnswer = async () => {};
    await beforeAnswer();
    return value;
  }

  async put(key: string, value: string): Promise<void> {
    if (this.failing) throw new Error("KV is down");
    this.values.set(key, value);
  }

  async delete(key: string): Promise<void> {
    this.values.delete(key);
  }
}

let worker: string;
let count = 0;
let kv: FakeKV;
let snapshot: Snapshot;
let background: Promise<unknown>[];
const ctx = { waitUntil: (promise: Promise<unknown>) => void background.push(promise) };

const record = (revision: number): DeploymentRecord => ({
  schema: 1,
  worker,
  revision,
  deployment_id: `deployment-${revision}`,
  enabled: true,
  versions: [{ version_id: `version-${revision}`, number: revision, percentage: 100 }],
});
const store = (revision: number) => kv.values.set(`deployment/${worker}`, JSON.stringify(record(revision)));
const held = () => snapshot.of(worker, ctx)?.record.revision;
const namespace = () => kv as unknown as KVNamespace;

/** As the registry does it: KV first, then the caches, whatever became of KV. */
async function publish(revision: number): Promise<void> {
  try {
    await writeRecord(namespace(), record(revision), {} as WorkerSummary);
  } finally {
    notify(worker, record(revision));
  }
}

async function retract(): Promise<void> {
  await kv.delete(`deployment/${worker}`);
  notify(worker, null);
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, "error").mockImplementation(() => {});
  worker = `worker-${count++}`;
  kv = new FakeKV();
  snapshot = new Snapshot(namespace());
  background = [];
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("many first requests for a Worker read its deployment once", async () => {
  vi.useRealTimers();
  store(1);
  kv.beforeAnswer = () => new Promise((resolve) => setTimeout(resolve, 20));
  const found = await Promise.all(Array.from({ length: 50 }, () => snapshot.load(worker)));
  expect(new Set(found.map((split) => (split as Split).record.revision))).toEqual(new Set([1]));
  expect(kv.reads).toBe(1);
});

describe("the router's view of a deployment", () => {
  test("comes from KV once, and from memory after that", async () => {
    store(1);
    expect(held()).toBeUndefined();
    expect(((await snapshot.load(worker)) as Split).record.revision).toBe(1);
    for (let i = 0; i < 100; i++) expect(held()).toBe(1);
    expect(kv.reads).toBe(1);
  });

  test("is read again behind a request once it is old enough, by one request only", async () => {
    store(1);
    await snapshot.load(worker);
    store(2);
    vi.advanceTimersByTime(LIMITS.snapshot.snapshotRefreshMs);
    expect([held(), held(), held()]).toEqual([1, 1, 1]);
    expect(background).toHaveLength(1);
    await Promise.all(background);
    expect(held()).toBe(2);
  });

  test("is read again as seldom as its router wants", async () => {
    store(1);
    const seldom = new Snapshot(namespace(), 10 * LIMITS.snapshot.snapshotRefreshMs);
    await seldom.load(worker);
    for (const [at, reads] of [
      [9, 0],
      [10, 1],
    ] as const) {
      vi.setSystemTime(Date.now() + (at === 9 ? 9 : 1) * LIMITS.snapshot.snapshotRefreshMs);
      seldom.of(worker, ctx);
      expect(background).toHaveLength(reads);
    }
  });

  test("is read before it serves again after a long pause, by the requests that come then", async () => {
    store(1);
    await snapshot.load(worker);
    store(2);
    vi.advanceTimersByTime(LIMITS.snapshot.maxStaleMs - 1);
    expect(held()).toBe(1);
    await Promise.all(background);
    store(3);
    vi.advanceTimersByTime(LIMITS.snapshot.maxStaleMs);
    expect([held(), held()]).toEqual([undefined, undefined]);
    const found = await Promise.all([snapshot.load(worker), snapshot.load(worker, worker.toUpperCase())]);
    expect(found.map((split) => (split as Split).record.revision)).toEqual([3, 3]);
    expect(held()).toBe(3);
  });

  test("serves after a long pause even where KV cannot be read or does not answer, and not every request waits", async () => {
    store(1);
    await snapshot.load(worker);
    kv.failing = true;
    vi.advanceTimersByTime(LIMITS.snapshot.maxStaleMs);
    expect(held()).toBeUndefined();
    expect(((await snapshot.load(worker)) as Split).record.revision).toBe(1);
    expect(held()).toBe(1);

    kv.failing = false;
    kv.beforeAnswer = () => new Promise(() => {});
    vi.advanceTimersByTime(LIMITS.snapshot.maxStaleMs);
    expect(held()).toBeUndefined();
    const waiting = snapshot.load(worker);
    await vi.advanceTimersByTimeAsync(LIMITS.snapshot.staleWaitMs);
    expect(((await waiting) as Split).record.revision).toBe(1);
    expect(held()).toBe(1);
  });

  test("never goes back to an older revision", async () => {
    store(5);
    await snapshot.load(worker);
    store(4);
    await snapshot.refresh(worker);
    expect(held()).toBe(5);
  });

  test("follows a publication in the same process at once", async () => {
    store(1);
    await snapshot.load(worker);
    await publish(2);
    expect(held()).toBe(2);
    await retract();
    expect(held()).toBeUndefined();
  });

  test("follows a publication in the same process even where KV cannot be written", async () => {
    store(1);
    await snapshot.load(worker);
    kv.failing = true;
    await expect(publish(2)).rejects.toThrow("KV is down");
    expect(held()).toBe(2);
  });
});

describe("a deployment that is published before there is a router", () => {
  test("is what the router starts with, although KV cannot be read", async () => {
    const { notify: tell, onReplicated } = await importAnew();
    tell("early", { ...record(2), worker: "early" });
    tell("gone", { ...record(1), worker: "gone" });
    tell("gone", null);
    const told: unknown[] = [];
    onReplicated((name, change) => told.push([name, change?.revision ?? null]));
    expect(told).toEqual([
      ["early", 2],
      ["gone", null],
    ]);
    tell("early", { ...record(3), worker: "early" });
    expect(told.at(-1)).toEqual(["early", 3]);
  });
});

/** A module that nobody has registered with yet. */
async function importAnew(): Promise<typeof import("../../src/versions/changes.ts")> {
  vi.resetModules();
  return import("../../src/versions/changes.ts");
}

describe("a host", () => {
  test("belongs to its Worker in every spelling, with one read of KV", async () => {
    store(1);
    for (const host of [worker, worker.toUpperCase(), worker]) {
      expect(((await snapshot.load(worker, host)) as Split).record.revision).toBe(1);
      expect(snapshot.get(host, ctx)?.record.revision).toBe(1);
    }
    expect(kv.reads).toBe(1);
  });

  test("is served, but not remembered, where it is longer than a name can be", async () => {
    const long = `${worker}${"x".repeat(LIMITS.snapshot.maxHostLength)}`;
    store(1);
    expect(await snapshot.load(worker, long)).not.toBe("absent");
    expect(snapshot.get(long, ctx)).toBeUndefined();
  });

  test("takes bounded memory, whatever spellings are tried, and is still served", async () => {
    store(1);
    const one = new Snapshot(namespace());
    for (let i = 0; i < LIMITS.snapshot.maxHosts; i++) await one.load(worker, `${worker}:${i}`);
    expect(one.get(`${worker}:0`, ctx)).toBeDefined();
    await one.load(worker, `${worker}:one-more`);
    expect(one.get(`${worker}:0`, ctx)).toBeUndefined();
    expect(await one.load(worker, `${worker}:0`)).not.toBe("absent");
  });
});

describe("when KV fails", () => {
  test("the last good deployment serves on", async () => {
    store(1);
    await snapshot.load(worker);
    kv.failing = true;
    expect(((await snapshot.refresh(worker)) as Split).record.revision).toBe(1);
    kv.failing = false;
    for (const garbage of ["", "{", "null", JSON.stringify({ ...record(9), versions: [] })]) {
      kv.values.set(`deployment/${worker}`, garbage);
      await snapshot.refresh(worker);
      expect(held()).toBe(1);
    }
    expect(console.error).toHaveBeenCalledTimes(5);
  });

  test("a Worker that was never read is unavailable, not unknown", async () => {
    kv.failing = true;
    expect(await snapshot.load(worker)).toBe("unavailable");
    kv.failing = false;
    kv.values.set(`deployment/${worker}`, "garbage");
    expect(await snapshot.load(worker)).toBe("unavailable");
  });
});

describe("a Worker that KV does not have", () => {
  test("is looked up once in a while, not with every request", async () => {
    for (let i = 0; i < 50; i++) expect(await snapshot.load(worker)).toBe("absent");
    expect(kv.reads).toBe(1);
    vi.advanceTimersByTime(LIMITS.snapshot.absentMs + 1);
    store(1);
    expect(await snapshot.load(worker)).not.toBe("absent");
  });

  test("is forgotten where it was deployed", async () => {
    store(1);
    await snapshot.load(worker);
    kv.values.clear();
    expect(await snapshot.refresh(worker)).toBe("absent");
    expect(held()).toBeUndefined();
  });

  test("is served at once when it is published, although a request has just found nothing", async () => {
    expect(await snapshot.load(worker)).toBe("absent");
    await publish(1);
    expect(((await snapshot.load(worker)) as Split).record.revision).toBe(1);
    expect(held()).toBe(1);
    expect(kv.reads).toBe(1);
  });

  test("is served again, on the hosts that led to it before, when it was deleted and made anew", async () => {
    store(1);
    await snapshot.load(worker);
    await retract();
    expect(held()).toBeUndefined();
    await publish(3);
    expect(((await snapshot.load(worker)) as Split).record.revision).toBe(3);
    await publish(4);
    expect(held()).toBe(4);
  });

  test("is not taken for absent by a read that a publication overtook", async () => {
    kv.beforeAnswer = () => publish(1);
    expect(((await snapshot.load(worker)) as Split).record.revision).toBe(1);
    expect(held()).toBe(1);
  });

  test("does not come back by a read that its deletion overtook", async () => {
    store(1);
    kv.beforeAnswer = () => retract();
    expect(await snapshot.load(worker)).toBe("absent");
    expect(held()).toBeUndefined();
  });

  test("takes bounded memory, whatever hosts are tried", async () => {
    for (let i = 0; i < LIMITS.snapshot.maxAbsent + 100; i++) await snapshot.load(`nobody-${i}`);
    const reads = kv.reads;
    await snapshot.load(`nobody-${LIMITS.snapshot.maxAbsent + 99}`);
    expect(kv.reads).toBe(reads);
    await snapshot.load("nobody-0");
    expect(kv.reads).toBe(reads + 1);
  });
});
