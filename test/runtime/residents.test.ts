import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../src/lib/limits.ts";
import { type Resident, Residents, reserve } from "../../src/runtime/residents.ts";

const { drainMs, visitMs, prepareMs, maxDraining } = LIMITS.loading;
const NOW = 1_000_000;
const WORKER = "shop";

let residents: Residents<Resident>;
beforeEach(() => {
  residents = new Residents();
});

/** An isolate that was just loaded, under its version's name. */
function loaded(version: string, { worker = WORKER, tailed = false } = {}): Resident {
  const isolate: Resident = { worker, instance: version, tailed, ...reserve(NOW) };
  residents.add(tailed ? `${version}+tail` : version, isolate);
  return isolate;
}

const retain = (versions: readonly string[], now = NOW, isTailed = false) =>
  residents.retain(WORKER, new Set(versions), isTailed, now);

const dueAt = (now: number) => residents.due(now).map(({ name }) => name);

describe("an isolate that was just loaded", () => {
  test("is reserved for twice the time that a preparation may take", () => {
    loaded("v1");
    expect(residents.leaving).toBe(1);
    expect(dueAt(NOW + 2 * prepareMs - 1)).toEqual([]);
    expect(dueAt(NOW + 2 * prepareMs)).toEqual(["v1"]);
  });

  test("stays when its deployment is published", () => {
    const isolate = loaded("v1");
    retain(["v1"]);
    expect(isolate).toMatchObject({ prepared: false, dueAt: undefined });
    expect(residents.leaving).toBe(0);
    expect(dueAt(Number.MAX_SAFE_INTEGER)).toEqual([]);
  });

  test("drains when its deployment is not made; other versions are left alone", () => {
    loaded("v1");
    loaded("v2");
    residents.giveUp(["v1"], NOW);
    expect(dueAt(NOW + drainMs - 1)).toEqual([]);
    expect(dueAt(NOW + drainMs)).toEqual(["v1"]);
  });
});

describe("an isolate that a request has loaded", () => {
  test.each([
    ["stays if the deployment has its version", ["v1"], false, undefined],
    ["stays if the deployment has its version, even for a visit", ["v1"], true, undefined],
    ["drains if the deployment has another version", ["v2"], false, drainMs],
    ["stays for a visit if the deployment has another version", ["v2"], true, visitMs],
    ["stays if no deployment is known", [], false, undefined],
    ["stays for a visit if no deployment is known", [], true, visitMs],
  ])("%s", (_, deployed, isVisit, ms) => {
    retain(deployed);
    const isolate = loaded("v1");
    residents.release(isolate, isVisit, NOW);
    expect(isolate).toMatchObject({ prepared: false, dueAt: ms === undefined ? undefined : NOW + ms });
  });
});

describe("a new deployment", () => {
  test("drains the versions that it does not have, of its own Worker only", () => {
    const isolates = [loaded("v1"), loaded("v2"), loaded("x1", { worker: "blog" })];
    for (const isolate of isolates) residents.release(isolate, false, NOW);
    retain(["v2"]);
    expect(dueAt(NOW + drainMs)).toEqual(["v1"]);
  });

  test("brings a draining version back at once", () => {
    residents.release(loaded("v1"), false, NOW);
    retain(["v2"]);
    retain(["v1"], NOW + drainMs - 1);
    expect(residents.leaving).toBe(0);
  });

  test("does not prolong a drain that has begun", () => {
    residents.release(loaded("v1"), false, NOW);
    retain(["v2"]);
    retain(["v3"], NOW + drainMs - 1);
    expect(dueAt(NOW + drainMs)).toEqual(["v1"]);
  });

  test("of a deleted Worker drains everything, and a later load is not judged by it", () => {
    residents.release(loaded("v1"), false, NOW);
    retain(["v1"]);
    retain([]);
    expect(dueAt(NOW + drainMs)).toEqual(["v1"]);
    const later = loaded("v2");
    residents.release(later, false, NOW);
    expect(later.dueAt).toBeUndefined();
  });
});

describe("a preparation", () => {
  test("reserves a version that drains", () => {
    residents.release(loaded("v1"), false, NOW);
    retain(["v2"]);
    residents.reserve("v1", NOW);
    expect(dueAt(NOW + 2 * prepareMs - 1)).toEqual([]);
  });

  test("changes nothing about a version that a deployment has", () => {
    const isolate = loaded("v1");
    retain(["v1"]);
    residents.reserve("v1", NOW);
    expect(isolate).toMatchObject({ prepared: false, dueAt: undefined });
  });
});

describe("a traced isolate", () => {
  test("stays while somebody tails its Worker", () => {
    const traced = loaded("v1", { tailed: true });
    residents.releaseTraced(traced, true, NOW);
    retain(["v1"], NOW, true);
    expect(residents.leaving).toBe(0);
  });

  test("is due at once if the tail ended while it was loading", () => {
    residents.releaseTraced(loaded("v1", { tailed: true }), false, NOW);
    expect(dueAt(NOW)).toEqual(["v1+tail"]);
  });

  test("drains when the tail ends, and the version's own isolate stays", () => {
    const own = loaded("v1");
    const traced = loaded("v1", { tailed: true });
    retain(["v1"], NOW, true);
    expect(residents.endTail(WORKER, NOW)).toEqual([traced]);
    expect(own.dueAt).toBeUndefined();
    expect(dueAt(NOW + drainMs)).toEqual(["v1+tail"]);
  });

  test("is not brought back by a deployment after the tail", () => {
    loaded("v1", { tailed: true });
    retain(["v1"], NOW, true);
    residents.endTail(WORKER, NOW);
    retain(["v1"]);
    expect(dueAt(NOW + drainMs)).toEqual(["v1+tail"]);
  });
});

describe("too many draining isolates", () => {
  const names = Array.from({ length: maxDraining + 2 }, (_, i) => `v${i}`);

  test("are unloaded early, those with the least time left first", () => {
    for (const name of names) residents.release(loaded(name), false, NOW);
    // Each deployment drops one more version, so v0 has the least time left.
    for (const i of names.keys()) retain(names.slice(i + 1), NOW + i);
    expect(residents.crowded).toBe(true);
    expect(dueAt(NOW + maxDraining)).toEqual(["v0", "v1"]);
  });

  test("do not include those that wait for a deployment", () => {
    for (const name of names) loaded(name);
    expect(residents.leaving).toBe(names.length);
    expect(residents.crowded).toBe(false);
    expect(dueAt(NOW)).toEqual([]);
  });

  test("are as many as may drain at once, and none is unloaded early", () => {
    for (const name of names.slice(0, maxDraining)) loaded(name);
    residents.giveUp(names, NOW);
    expect(residents.crowded).toBe(false);
    expect(dueAt(NOW)).toEqual([]);
  });
});

describe("a sweep", () => {
  const due = () => residents.due(NOW + drainMs);

  test("takes what it listed once: a second sweep finds it gone", () => {
    loaded("v1");
    residents.giveUp(["v1"], NOW);
    const [first] = due();
    const [second] = due();
    if (first === undefined || second === undefined) throw new Error("nothing is due");
    expect(residents.take(first)).toBe(true);
    expect(residents.take(second)).toBe(false);
    expect(residents.leaving).toBe(0);
  });

  test("leaves an isolate whose deployment came back after it was listed", () => {
    loaded("v1");
    residents.giveUp(["v1"], NOW);
    const [listed] = due();
    if (listed === undefined) throw new Error("nothing is due");
    retain(["v1"]);
    expect(residents.take(listed)).toBe(false);
    expect(residents.of(WORKER)).toHaveLength(1);
  });

  test("leaves another isolate that has the same name by now", () => {
    const isolate = loaded("v1");
    residents.giveUp(["v1"], NOW);
    const [listed] = due();
    if (listed === undefined) throw new Error("nothing is due");
    residents.add("v1", { ...isolate });
    expect(residents.take(listed)).toBe(false);
  });
});

test("a version of the active deployment is never due, whatever happened before", () => {
  const version = fc.constantFrom("v1", "v2", "v3");
  const step = fc.oneof(
    fc.record({ kind: fc.constant("load" as const), version, isVisit: fc.boolean() }),
    fc.record({ kind: fc.constant("prepare" as const), version }),
    fc.record({ kind: fc.constant("giveUp" as const), version }),
    fc.record({ kind: fc.constant("retain" as const), version }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), version, (steps, active) => {
      residents = new Residents();
      for (const [i, each] of steps.entries()) {
        const now = NOW + i;
        if (each.kind === "load") residents.release(loaded(each.version), each.isVisit, now);
        else if (each.kind === "prepare") residents.reserve(each.version, now);
        else if (each.kind === "giveUp") residents.giveUp([each.version], now);
        else retain([each.version], now);
      }
      retain([active], NOW + steps.length);
      expect(dueAt(Number.MAX_SAFE_INTEGER)).not.toContain(active);
    }),
  );
});
