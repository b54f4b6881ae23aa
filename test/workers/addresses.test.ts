import { beforeEach, describe, expect, test, vi } from "vitest";
import { Addresses } from "../../src/router/addresses.ts";
import { Snapshot } from "../../src/router/snapshot.ts";
import { notifyRoutes } from "../../src/versions/changes.ts";
import type { RoutesRecord } from "../../src/versions/record.ts";

/** Workers KV as far as it is used, with a hand on the moment of its answers. */
class FakeKV {
  readonly values = new Map<string, string>();
  failing = false;
  reads = 0;
  before: () => Promise<void> = async () => {};

  async get(key: string, options?: { type?: string }): Promise<unknown> {
    this.reads++;
    await this.before();
    if (this.failing) throw new Error("KV is down");
    const value = this.values.get(key) ?? null;
    return value !== null && options?.type === "json" ? JSON.parse(value) : value;
  }
}

let kv: FakeKV;
let revision = 100;
const namespace = () => kv as unknown as KVNamespace;
const routes = (domains: Record<string, string>): RoutesRecord => ({
  schema: 1,
  revision: revision++,
  domains,
  routes: [],
});

beforeEach(() => {
  kv = new FakeKV();
  vi.spyOn(console, "error").mockImplementation(() => {});
});

describe("routes", () => {
  test("are known to every request of a process that has just started, however many come at once", async () => {
    kv.values.set("routes", JSON.stringify(routes({ "a.example": "a" })));
    const addresses = new Addresses(namespace(), 30_000, () => {});
    const found = await Promise.all(
      Array.from({ length: 5 }, async () => {
        expect(await addresses.refresh()).toBe(true);
        return addresses.workerAt("a.example:80", "http://a.example:80/x");
      }),
    );
    expect(new Set(found)).toEqual(new Set(["a"]));
    const { reads } = kv;
    await addresses.refresh();
    expect(kv.reads).toBe(reads);
  });

  test("that cannot be read are unknown, not absent; once read, the last ones stay", async () => {
    kv.failing = true;
    const addresses = new Addresses(namespace(), 0, () => {});
    expect([await addresses.refresh(), await addresses.refresh()]).toEqual([false, false]);
    kv.failing = false;
    kv.values.set("routes", JSON.stringify(routes({ "b.example": "b" })));
    expect(await addresses.refresh()).toBe(true);
    kv.failing = true;
    expect(await addresses.refresh()).toBe(true);
    expect(addresses.workerAt("b.example", "http://b.example/")).toBe("b");
  });

  test("that change while a host is looked up are not undone by the older answer", async () => {
    const record = { schema: 1, worker: "old", revision: 1, deployment_id: "d", enabled: true };
    const versions = [{ version_id: "v", number: 1, percentage: 100 }];
    kv.values.set("deployment/old", JSON.stringify({ ...record, versions }));
    const snapshot: Snapshot = new Snapshot(namespace());
    new Addresses(namespace(), 30_000, () => snapshot.forgetHosts());
    kv.before = async () => {
      kv.before = async () => {};
      notifyRoutes(routes({ "moved.example": "new" }));
    };
    await snapshot.load("old", "moved.example", snapshot.epoch);
    expect(snapshot.get("moved.example", { waitUntil: () => {} })).toBeUndefined();
  });
});
