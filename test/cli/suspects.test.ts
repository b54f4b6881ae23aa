import { expect, test } from "vitest";
import { Suspects } from "../../src/cli/processes/suspects.ts";
import { Witness } from "../../src/cli/processes/witness.ts";

const a = { worker: "shop", version: "a" };
const b = { worker: "blog", version: "b" };
const begins = (call: number, suspect: typeof a) => ({
  level: "debug" as const,
  event: "call-begins",
  call,
  ...suspect,
});
const ends = (call: number) => ({ level: "debug" as const, event: "call-ends", call });

test("calls are witnessed after the first end of a process, and no longer than ten minutes after the last", () => {
  const suspects = new Suspects();
  expect(suspects.instructionsTo("traffic", 0).isWitnessed).toBe(false);
  expect(suspects.ended("traffic", [], 0)).toBeUndefined();
  expect(suspects.instructionsTo("traffic", 1).isWitnessed).toBe(true);
  expect(suspects.instructionsTo("objects", 1).isWitnessed).toBe(false);
  expect(suspects.changesAt(1)).toBe(600_000);
  expect(suspects.instructionsTo("traffic", 600_001).isWitnessed).toBe(false);
});

test("a stable version that ended a traffic process runs apart for ten minutes, and longer if it does it again there", () => {
  const suspects = new Suspects();
  suspects.ended("traffic", [], 0);
  expect(suspects.ended("traffic", [a], 1)).toEqual(a);
  expect(suspects.instructionsTo("traffic", 2)).toMatchObject({ confined: [a], paused: [] });
  suspects.ended("canary", [a], 500_000);
  expect(suspects.instructionsTo("traffic", 700_000)).toMatchObject({ confined: [a], suspected: [] });
  expect(suspects.instructionsTo("traffic", 1_200_000).confined).toEqual([]);
});

test("a version that ends the process of objects is paused there, for twice as long each time", () => {
  const suspects = new Suspects();
  suspects.ended("objects", [], 0);
  let now = 1;
  const pauses = Array.from({ length: 7 }, () => {
    expect(suspects.ended("objects", [a], now)).toEqual(a);
    expect(suspects.instructionsTo("objects", now)).toMatchObject({ paused: ["a"], confined: [] });
    expect(suspects.instructionsTo("traffic", now).paused).toEqual([]);
    const until = suspects.changesAt(now) as number;
    const pause = until - now;
    now = until + 1;
    expect(suspects.instructionsTo("objects", now).paused).toEqual([]);
    return pause;
  });
  expect(pauses).toEqual([30_000, 60_000, 120_000, 240_000, 480_000, 600_000, 600_000]);
});

test("a version is not paused for the first event that ends the process of objects, since that event is held", () => {
  const suspects = new Suspects();
  suspects.ended("objects", [], 0);
  expect(suspects.ended("objects", [{ ...a, isEvent: true }], 1)).toEqual(a);
  expect(suspects.instructionsTo("objects", 2).paused).toEqual([]);
  expect(suspects.ended("objects", [{ ...a, isEvent: true }], 3)).toEqual(a);
  expect(suspects.instructionsTo("objects", 4).paused).toEqual(["a"]);
});

test("a candidate is neither confined nor paused: it is suspected, and to blame at its second end", () => {
  const suspects = new Suspects();
  expect(suspects.ended("canary", [a], 0)).toBeUndefined();
  expect(suspects.instructionsTo("canary", 1)).toMatchObject({ suspected: ["a"], confined: [], paused: [] });
  expect(suspects.ended("canary", [a], 1)).toEqual(a);
});

test("a baseline is never suspected: the candidate beside it is to blame at its second end", () => {
  const suspects = new Suspects();
  const baseline = { worker: "shop", version: "stable", isBaseline: true };
  expect(suspects.ended("canary", [baseline], 0)).toBeUndefined();
  expect(suspects.instructionsTo("traffic", 0)).toMatchObject({ suspected: [], confined: [], paused: [] });
  expect(suspects.ended("canary", [a, baseline], 1)).toBeUndefined();
  expect(suspects.instructionsTo("traffic", 1)).toMatchObject({ suspected: ["a"], confined: [], paused: [] });
  expect(suspects.ended("canary", [a, baseline], 2)).toEqual(a);
  expect(suspects.ended("canary", [baseline], 3)).toBeUndefined();
});

test("an end with a baseline under way does not have its stable version run apart for longer", () => {
  const suspects = new Suspects();
  suspects.ended("traffic", [], 0);
  suspects.ended("traffic", [a], 1);
  suspects.ended("canary", [{ ...a, isBaseline: true }], 500_000);
  expect(suspects.instructionsTo("traffic", 700_000).confined).toEqual([]);
});

test("calls under way tell who ran; without any, those that ended in the last ten seconds do", () => {
  const witness = new Witness();
  witness.heard(begins(1, a), 0);
  witness.heard(begins(2, b), 0);
  witness.heard(ends(1), 1);
  expect(witness.take(2)).toMatchObject([b]);
  expect(witness.take(3)).toEqual([]);
  witness.heard(begins(3, a), 10);
  witness.heard(ends(3), 11);
  witness.heard(begins(4, a), 20);
  witness.heard(ends(4), 21);
  expect(witness.take(9_000)).toMatchObject([a]);
  witness.heard(begins(5, a), 20_000);
  witness.heard(ends(5), 20_001);
  expect(witness.take(31_000)).toEqual([]);
});

test("other events are not for the witness", () => {
  expect(new Witness().heard({ level: "info", event: "version-unloaded" }, 0)).toBe(false);
});
