/** What a look teaches about a candidate. Pure. */
import { addCounts, NO_COUNTS } from "./counts.ts";
import { addCpu, type CpuSums, isHeavier, NO_CPU } from "./cpu.ts";
import { NO_DRIFT, watchDrift } from "./drift.ts";
import {
  bet,
  learnRatio,
  NEW_SHARE,
  NO_LIKELIHOOD,
  NO_STAKES,
  observeShare,
  placeStakes,
  type Tally,
} from "./gate.ts";
import type { ArmCounts, CpuAlarm, Evidence, Look, Rollout, Unsettled } from "./types.ts";

/** Time that a failure may take from its request's end to the registry, in ms. */
const DELIVERY_MS = 5_000;

export const NEW_EVIDENCE: Evidence = {
  errors: NO_STAKES,
  latency: [],
  ratio: NO_LIKELIHOOD,
  unsettled: [],
  share: NEW_SHARE,
  total: NO_COUNTS,
  stage: NO_COUNTS,
  slow: { candidate: [], reference: [], clients: { candidate: 0, reference: 0 } },
  slow_ms: null,
  drift: NO_DRIFT,
  bake: NO_DRIFT,
  cpu: NO_CPU,
  cpu_alarm: "none",
  accepted: 0,
};

/** The evidence after a look. @param rollout at the time of the look */
export function learn(rollout: Rollout, { counts: seen, stage: seenIn, slow_ms }: Look): Evidence {
  const { plan, elapsed, evidence: known } = rollout;
  const { margin } = plan.gates;
  const stakesOf = (i: number) => known.latency[i] ?? NO_STAKES;
  const { settled, unsettled } = settle(rollout, seen.errors);
  const { reference, beside, candidate } = seen.counts;
  return {
    errors: bet(placeStakes(known.errors, elapsed), seen.errors, margin),
    latency: (slow_ms ?? []).map((_, i) =>
      bet(placeStakes(stakesOf(i), elapsed), seen.latency[i] ?? [], margin),
    ),
    ratio: learnRatio(known.ratio, settled),
    unsettled,
    // Looks can overlap: another one may have entered the next stage since these clients were counted.
    share: seenIn === rollout.stage ? observeShare(known.share, seen.shared) : known.share,
    total: addCounts(known.total, seen.counts),
    stage: addCounts(known.stage, seen.counts),
    slow: addSlow(known.slow, seen),
    slow_ms,
    drift: watchDrift(known.drift, sum(reference, beside, "exposures"), sum(reference, beside, "failures")),
    bake: watchDrift(known.bake, candidate.exposures, candidate.failures),
    ...learnCpu(known, seen.cpu),
    accepted: known.accepted,
  };
}

function learnCpu({ cpu: known, cpu_alarm: before }: Evidence, seen: CpuSums) {
  const cpu = addCpu(known, seen);
  const found: CpuAlarm = isHeavier(cpu, before === "raised") ? "raised" : "none";
  return { cpu, cpu_alarm: before === "accepted" ? before : found };
}

function sum(x: ArmCounts, y: ArmCounts, what: keyof ArmCounts): number {
  return x[what] + y[what];
}

/**
 * A timeout is known later than an exception of the same moment. The interval of the ratio waits for both: if the
 * candidate's failures are timeouts and the reference's are not, it would look better than it is until then.
 */
function settle({ plan, elapsed, evidence }: Rollout, tallies: readonly Tally[]) {
  const due = elapsed + plan.gates.failures.timeout_seconds * 1000 + DELIVERY_MS;
  const all = [...evidence.unsettled, ...tallies.map((tally): Unsettled => ({ due, tally }))];
  return {
    settled: all.filter((each) => each.due <= elapsed).map(({ tally }) => tally),
    unsettled: all.filter((each) => each.due > elapsed),
  };
}

/** The evidence with all of its failures: none of them can be overtaken any more where nobody asks the candidate. */
export function settleAll(evidence: Evidence): Evidence {
  const tallies = evidence.unsettled.map(({ tally }) => tally);
  return { ...evidence, ratio: learnRatio(evidence.ratio, tallies), unsettled: [] };
}

function addSlow(known: Evidence["slow"], { latency, judged }: Look["counts"]): Evidence["slow"] {
  const slow = (arm: "candidate" | "reference") =>
    latency.map((tallies, i) => tallies.reduce((all, tally) => all + tally[arm], known[arm][i] ?? 0));
  return {
    candidate: latency.length === 0 ? known.candidate : slow("candidate"),
    reference: latency.length === 0 ? known.reference : slow("reference"),
    clients: {
      candidate: known.clients.candidate + judged.candidate,
      reference: known.clients.reference + judged.reference,
    },
  };
}

/** For a new stage, which has another split and other clients at 100%. */
export function beginStage(evidence: Evidence): Evidence {
  return {
    ...evidence,
    share: NEW_SHARE,
    stage: NO_COUNTS,
    bake: { ...evidence.bake, sum: 0 },
  };
}
