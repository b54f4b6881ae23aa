/** What versions do with requests in the simulations: how they fail, and how long they take. */
import type { FailureKind } from "../../src/rollout/records.ts";
import { lognormal, type Version, type Visit } from "../../src/rollout/simulate.ts";

/** Probability that a request fails. */
type Hazard = (visit: Visit) => number;
/** Time until an answer, in ms. */
type Pace = (visit: Visit) => number;

export const brisk: Pace = () => 40;
/** Half of the answers within 40 ms; 1% take longer than 400 ms. */
export const noisy: Pace = ({ random }) => lognormal(40, 1, random);

/** A version that fails with the probability of a hazard. */
export function version(hazard: Hazard, pace: Pace = brisk, failure: FailureKind = "status"): Version {
  return (visit) => ({ ms: pace(visit), failure: visit.random() < hazard(visit) ? failure : null });
}

export const steady =
  (rate: number): Hazard =>
  () =>
    rate;

/** @param start in seconds @param seconds how long it lasts */
export function outage(base: number, rate: number, start: number, seconds: number): Hazard {
  return ({ time }) => (time >= start && time < start + seconds ? rate : base);
}

/** Some clients fail with each request, and the others seldom. */
export function bots(part: number, base: number): Hazard {
  return ({ client }) => (client.trait < part ? 1 : base);
}

/** Pages that the isolate has had in the last minute come from its memory; all others need a backend that often fails. */
export function cached(pages: number, rate: number): Hazard {
  return ({ isolate: { memory }, time, random }) => {
    const page = `${Math.floor(pages * random() ** 2)}`;
    const held = memory.get(page);
    if (held !== undefined && time - held < 60) return 0;
    const fails = random() < rate;
    if (!fails) memory.set(page, time);
    return fails ? 1 : 0;
  };
}

/** Clients that have had an answer from this isolate do not fail there any more. */
export function remembersSuccess(rate: number): Hazard {
  return ({ isolate: { memory }, client, random }) => {
    if (memory.has(client.key)) return 0;
    const fails = random() < rate;
    if (!fails) memory.set(client.key, 1);
    return fails ? 1 : 0;
  };
}

/** Clients that have failed in this isolate fail there for ever. */
export function remembersFailure(rate: number): Hazard {
  return ({ isolate: { memory }, client, random }) => {
    const fails = memory.has(client.key) || random() < rate;
    if (fails) memory.set(client.key, 1);
    return fails ? 1 : 0;
  };
}

/** An isolate whose first requests often fail. */
export function warmsUp(requests: number, rate: number, base: number): Hazard {
  return ({ isolate }) => (isolate.requests <= requests ? rate : base);
}

/** An isolate whose first requests take long. */
export function slowStart(requests: number, ms: number): Pace {
  return (visit) => noisy(visit) + (visit.isolate.requests <= requests ? ms : 0);
}

/** Answers that fail after 10 to 30 seconds, while others fail at once. */
export function lateTimeouts(rate: number, start: number, seconds: number): Version {
  return ({ time, random }) => {
    const isOut = time >= start && time < start + seconds;
    if (!isOut || random() >= rate) return { ms: 40, failure: random() < 0.01 ? "status" : null };
    return random() < 0.5
      ? { ms: 40, failure: "exception" }
      : { ms: 10_000 + 20_000 * random(), failure: "status" };
  };
}

/** Requests that never get an answer. */
export function hangs(rate: number): Version {
  return ({ random }) => ({ ms: random() < rate ? Number.POSITIVE_INFINITY : 40, failure: null });
}

/** Answers beyond 312 ms, the slowest 2% of `noisy`, take longer by a factor. */
export function slowTail(factor: number): Pace {
  return (visit) => {
    const ms = noisy(visit);
    return ms > 312 ? ms * factor : ms;
  };
}
