import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dueRuns, nextRun, refuseCron } from "../../src/events/crons.ts";

const at = (text: string) => Date.parse(text);
const NOW = at("2026-11-23T09:00:00.000Z"); // a Monday

describe("a cron expression", () => {
  test("is taken in all of Cloudflare's forms", () => {
    for (const cron of [
      "* * * * *",
      "*/30 * * * *",
      "45 * * * *",
      "0 17 * * sun",
      "0 17 * * 1",
      "10 7 * * mon-fri",
      "0 15 1 * *",
      "0 18 * * 6L",
      "0 18 * * friL",
      "59 23 LW * *",
    ]) {
      expect(refuseCron(cron, NOW), cron).toBeUndefined();
    }
  });

  test("is refused with the reason where it is not valid, or never fires", () => {
    for (const [cron, why] of [
      ["", "does not have five fields"],
      ["* * * *", "does not have five fields"],
      ["0 0 1 * * *", "does not have five fields"],
      ["@daily", "does not have five fields"],
      ["61 * * * *", "is not valid"],
      ["* * * * 0", "is not valid"],
      ["0 0 30 2 *", "never fires"],
    ] as const) {
      expect(refuseCron(cron, NOW), cron).toContain(why);
    }
  });

  test("counts the days of the week from Sunday as 1, as Cloudflare does, in UTC", () => {
    const next = (cron: string) => new Date(nextRun([cron], NOW) ?? 0).toISOString();
    expect(next("0 12 * * 1")).toBe("2026-11-29T12:00:00.000Z");
    expect(next("0 12 * * 2")).toBe("2026-11-23T12:00:00.000Z");
    expect(next("0 12 * * sat")).toBe("2026-11-28T12:00:00.000Z");
    expect(next("59 23 LW * *")).toBe("2026-11-30T23:59:00.000Z");
    expect(next("0 0 29 2 *")).toBe("2028-02-29T00:00:00.000Z");
  });
});

describe("a clock that moves", () => {
  const HALF = "*/30 * * * *";

  test("fires once in each period, at its time and not before", () => {
    expect(dueRuns([HALF], NOW, NOW + 30 * 60_000 - 1)).toEqual([]);
    expect(dueRuns([HALF], NOW, NOW + 30 * 60_000)).toEqual([{ cron: HALF, time: NOW + 30 * 60_000 }]);
    expect(dueRuns([HALF], NOW + 30 * 60_000, NOW + 30 * 60_000 + 1)).toEqual([]);
  });

  test("makes up once for all that was missed, with the time of the last", () => {
    expect(dueRuns([HALF, "0 3 * * *"], NOW, NOW + 25 * 3_600_000)).toEqual([
      { cron: HALF, time: NOW + 25 * 3_600_000 },
      { cron: "0 3 * * *", time: at("2026-11-24T03:00:00.000Z") },
    ]);
  });

  test("that goes back repeats nothing", () => {
    expect(dueRuns([HALF], NOW, NOW - 3 * 3_600_000)).toEqual([]);
  });

  test("never fires twice for one time and never skips the last, however it is cut into looks", () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 3 * 60 * 60_000 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(cuts, (steps) => {
        let since = NOW;
        const times: number[] = [];
        for (const step of steps) {
          const now = since + step;
          for (const { time } of dueRuns([HALF], since, now)) times.push(time);
          since = now;
        }
        const last = Math.floor(since / 1_800_000) * 1_800_000;
        expect(new Set(times).size).toBe(times.length);
        expect(times.at(-1) ?? NOW).toBe(Math.max(last, NOW));
      }),
    );
  });

  test("wakes for the first of several, and for none of none", () => {
    expect(nextRun([HALF, "5 * * * *"], NOW)).toBe(NOW + 5 * 60_000);
    expect(nextRun([], NOW)).toBeUndefined();
  });
});
