/**
 * Checks the certificate of a rollout without any code of Sluice:
 * `sluice rollout certificate shop | node scripts/certificate.ts`, or with a file as the argument.
 * Exits with 0 if the rows lead to the E-values and the verdict that the certificate claims, otherwise with 1.
 * docs/gates.md has the formula.
 */
import { readFileSync } from "node:fs";

type Row = { minute: number; metric: string; share: number; candidate: number; reference: number };

const read = JSON.parse(readFileSync(process.argv[2] ?? 0, "utf8"));
const { gates, bets, weights, slow_ms, rows, claimed } = read.result ?? read;

/** ln(e^x + e^y + …). */
function logSum(...logs: number[]): number {
  const largest = Math.max(...logs);
  if (largest === Number.NEGATIVE_INFINITY) return largest;
  return largest + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - largest), 0));
}

/** E-value of the rows of a metric: the mean over the bets, and what has not been staked. */
function eValue(metric: string): number {
  const own: Row[] = rows
    .filter((row: Row) => row.metric === metric)
    .sort((x: Row, y: Row) => x.minute - y.minute);
  let placed = 0;
  let wealth: number[] = bets.map(() => Number.NEGATIVE_INFINITY);
  for (const { minute, share, candidate, reference } of own) {
    // The j-th stake is 1/(j(j+1)). One is due in each minute; those that are due sum to this difference.
    const due = Math.max(minute + 1, placed);
    const stake = 1 / (placed + 1) - 1 / (due + 1);
    placed = due;
    // Probability that a failure is the candidate's, if it fails as often as the margin allows.
    const expected = (gates.margin * share) / (gates.margin * share + 1 - share);
    wealth = wealth.map((log, i) => {
      const gain =
        candidate * Math.log(bets[i]) - (candidate + reference) * Math.log1p(expected * (bets[i] - 1));
      return logSum(log, Math.log(stake)) + gain;
    });
  }
  const mean = logSum(...wealth) - Math.log(bets.length);
  return Math.exp(Math.min(mean, 700)) + 1 / (placed + 1);
}

const latencies: number[] = (slow_ms ?? []).map((_: number, i: number) => eValue(`latency${i}`));
const found = {
  errors: eValue("errors"),
  latency: latencies.reduce((sum, e) => sum + e / latencies.length, latencies.length === 0 ? 1 : 0),
};
const metrics = ["errors", "latency"] as const;
const watched = metrics.filter((metric) => metric === "errors" || gates.latency);
const limit = (metric: "errors" | "latency") => 1 / (gates.alpha * (gates.latency ? weights[metric] : 1));
const verdict = watched.some((metric) => found[metric] >= limit(metric)) ? "worse" : "open";
const isSame = (x: number, y: number) => Math.abs(x - y) <= 1e-9 * Math.max(Math.abs(x), Math.abs(y));

const wrong: string[] = metrics.filter((metric) => !isSame(found[metric], claimed[metric]));
if (watched.some((metric) => !isSame(limit(metric), claimed.thresholds[metric]))) wrong.push("thresholds");
if (verdict !== claimed.verdict) wrong.push("verdict");
console.log(JSON.stringify({ ...found, verdict, wrong }));
process.exitCode = wrong.length === 0 ? 0 : 1;
