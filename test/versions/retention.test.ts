import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Deployed, retain } from "../../src/versions/retention.ts";

const HOUR = 3_600_000;
const NOW = 1_000 * HOUR;

const deployed = (number: number, left_on: number | null): Deployed => ({
  version_id: `v${number}`,
  number,
  set: `set-${number}`,
  left_on,
});
const ids = (all: readonly Deployed[], versions: number, hours: number) =>
  retain(all, { versions, hours }, NOW).map(({ version_id }) => version_id);

describe("the versions whose assets stay reachable", () => {
  test("are those in the deployment, whatever their age, and before all others", () => {
    const all = [deployed(1, null), deployed(2, NOW), deployed(3, null), deployed(4, NOW)];
    expect(ids(all, 0, 0)).toEqual(["v3", "v1"]);
    expect(ids(all, 4, 0)).toEqual(["v3", "v1", "v4", "v2"]);
  });

  test("are the last ones and those that left lately: whichever keeps one longer", () => {
    const all = [
      deployed(1, NOW - 60 * HOUR),
      deployed(2, NOW - 10 * HOUR),
      deployed(3, NOW - 60 * HOUR),
      deployed(4, null),
    ];
    expect(ids(all, 1, 48)).toEqual(["v4", "v2"]);
    expect(ids(all, 2, 48)).toEqual(["v4", "v3", "v2"]);
    expect(ids(all, 1, 61)).toEqual(["v4", "v3", "v2", "v1"]);
  });

  test("say until when, so that a router that is not told forgets them in time", () => {
    const [, kept] = retain([deployed(2, null), deployed(1, NOW - HOUR)], { versions: 1, hours: 48 }, NOW);
    expect(kept).toEqual({ version_id: "v1", number: 1, set: "set-1", until: NOW + 47 * HOUR });
  });

  test("never lose the active ones, never repeat one, and are the same in any order", () => {
    const versions = fc.uniqueArray(
      fc.record({ number: fc.nat(50), left_on: fc.option(fc.integer({ min: NOW - 100 * HOUR, max: NOW })) }),
      { selector: ({ number }) => number, maxLength: 20 },
    );
    fc.assert(
      fc.property(versions, fc.nat(12), fc.nat(72), fc.nat(), (list, count, hours, turn) => {
        const all = list.map(({ number, left_on }) => deployed(number, left_on));
        const kept = ids(all, count, hours);
        const active = all.filter(({ left_on }) => left_on === null).map(({ version_id }) => version_id);
        const turned =
          all.length === 0 ? [] : [...all.slice(turn % all.length), ...all.slice(0, turn % all.length)];
        expect(kept.slice(0, active.length).sort()).toEqual(active.sort());
        expect(new Set(kept).size).toBe(kept.length);
        expect(kept.length).toBeGreaterThanOrEqual(Math.min(count, all.length));
        expect(ids(turned, count, hours)).toEqual(kept);
      }),
    );
  });
});
