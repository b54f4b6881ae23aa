/** What the process of candidates knows of its processor time. */
import { expect, test } from "vitest";
import { CpuMeter, sampleOf } from "../../src/runtime/cpu-meter.ts";

const ROLLOUT = { id: "r", candidate: "new", baseline: 10 };
const VERSIONS = [
  { version_id: "old", number: 1, percentage: 90 },
  { version_id: "new", number: 2, percentage: 10 },
];

function serve(meter: CpuMeter, requests: Readonly<Record<string, number>>): void {
  for (const [instance, count] of Object.entries(requests))
    for (let i = 0; i < count; i++) meter.ended("shop", instance);
}

/** A meter at the beginning of an interval, at which the process had used 100 ms. */
function begun(): CpuMeter {
  const meter = new CpuMeter();
  meter.mark(50);
  meter.mark(100);
  return meter;
}

test("the requests between two marks go with the processor time between them", () => {
  const meter = begun();
  serve(meter, { new: 6, "old.baseline": 4 });
  expect(meter.mark(100)).toBeUndefined();
  // After the second mark, before its processor time is known.
  serve(meter, { new: 3 });
  expect(meter.mark(180)).toEqual({
    workers: ["shop"],
    requests: new Map([
      ["new", 6],
      ["old.baseline", 4],
    ]),
    cpu_ms: 80,
  });
  serve(meter, { other: 7 });
  expect(meter.mark(190)).toBeUndefined();
  expect(meter.mark(260)?.requests).toEqual(
    new Map([
      ["new", 3],
      ["other", 7],
    ]),
  );
});

test("what happened before the first mark counts for nothing: its processor time is the process's start", () => {
  const meter = new CpuMeter();
  serve(meter, { new: 100 });
  expect([meter.mark(900), meter.mark(1_000), meter.mark(1_100)]).toEqual([undefined, undefined, undefined]);
});

test("an interval goes on until it has enough requests to be measured by ticks of 10 ms", () => {
  const meter = begun();
  for (const used of [110, 120, 130]) {
    serve(meter, { new: 3 });
    expect(meter.mark(used)).toBeUndefined();
  }
  serve(meter, { new: 3 });
  meter.mark(140);
  expect(meter.mark(150)).toMatchObject({ requests: new Map([["new", 12]]), cpu_ms: 50 });
});

test("a rollout is told of its two versions, and of all others as one", () => {
  const requests = new Map([
    ["new", 6],
    ["old.baseline", 4],
    ["preview", 5],
  ]);
  const of = (rollout: Parameters<typeof sampleOf>[1]["rollout"], counts = requests) =>
    sampleOf({ requests: counts, cpu_ms: 80 }, { versions: VERSIONS, ...(rollout && { rollout }) });
  expect(of(ROLLOUT)).toEqual({ candidate: 6, baseline: 4, other: 5, cpu_ms: 80 });
  expect(of({ ...ROLLOUT, baseline: 0 })).toBeUndefined();
  expect(of(undefined)).toBeUndefined();
  expect(of(ROLLOUT, new Map([["preview", 5]]))).toBeUndefined();
});
