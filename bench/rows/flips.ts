/** How soon traffic follows a deployment under load, and how long the first request to a version takes. */
import { availableParallelism } from "node:os";
import { Sluice } from "../sluice.ts";
import { percentile, type Row } from "../table.ts";

const FLIPS = Number(process.env.BENCH_FLIPS ?? 1_000);
const COLD_STARTS = Number(process.env.BENCH_COLD_STARTS ?? 100);
const LANES = 4;

const saying = (text: string) => `export default { fetch: () => new Response(${JSON.stringify(text)}) };`;

export async function measure(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const processes of new Set([1, availableParallelism()])) {
    const sluice = await Sluice.start(["--processes", String(processes)]);
    try {
      rows.push(...(await flips(sluice, processes)));
      rows.push(await firstRequests(sluice, processes));
    } finally {
      await sluice.stop();
    }
  }
  return rows;
}

/** Sequential deployments, while four clients send requests without a pause. */
async function flips(sluice: Sluice, processes: number): Promise<Row[]> {
  const versions = [await sluice.deploy("flips", saying("0")), await sluice.upload("flips", saying("1"))];
  let serving = 0;
  let asked = 0;
  let acknowledged = 0;
  let stale = 0;
  let failed = 0;
  let requests = 0;
  let done = false;
  const lane = async (name: number) => {
    for (let i = 0; !done; i++) {
      const [expected, before] = [serving, acknowledged];
      const { status, body } = await sluice.get("flips", `${name}-${i}`);
      requests++;
      if (status !== 200) failed++;
      // Counts only requests sent after a deployment's answer and answered before the next deployment was sent.
      else if (asked === before && body !== String(expected)) stale++;
    }
  };
  const load = Promise.all(Array.from({ length: LANES }, (_, name) => lane(name)));
  const answers: number[] = [];
  const followed: number[] = [];
  for (let flip = 0; flip < FLIPS; flip++) {
    const next = (flip + 1) % 2;
    const started = performance.now();
    asked++;
    await sluice.split("flips", [versions[next] as string, 100]);
    serving = next;
    acknowledged++;
    const answered = performance.now();
    const { body } = await sluice.get("flips", `${flip}`);
    if (body !== String(next)) stale++;
    answers.push(answered - started);
    followed.push(performance.now() - answered);
  }
  done = true;
  await load;
  const what = `${FLIPS} deployments under load, ${named(processes)}`;
  return [
    {
      what: `${what}: requests on the old split after the answer, and failed`,
      value: `${stale} and ${failed} of ${requests}`,
      against: "–",
      ratio: undefined,
      target: "0 and 0",
      met: stale === 0 && failed === 0,
    },
    {
      what: `${what}: the API's answer, p95`,
      value: `${percentile(answers, 95).toFixed(1)} ms`,
      against: `the request that follows: ${percentile(followed, 95).toFixed(1)} ms`,
      ratio: undefined,
      target: "≤ 100 ms",
      met: percentile(answers, 95) <= 100,
    },
  ];
}

/** The first request to a version that no process has loaded before its deployment. */
async function firstRequests(sluice: Sluice, processes: number): Promise<Row> {
  const times: number[] = [];
  await sluice.deploy("cold", saying("before"));
  for (let i = 0; i < COLD_STARTS; i++) {
    const version = await sluice.upload("cold", saying(`cold ${i}`));
    await sluice.split("cold", [version, 100]);
    const started = performance.now();
    const { body } = await sluice.get("cold");
    times.push(performance.now() - started);
    if (body !== `cold ${i}`) throw new Error(`the new version did not answer: ${body}`);
  }
  const p95 = percentile(times, 95);
  return {
    what: `first request to a version never loaded, ${named(processes)}, p95 of ${COLD_STARTS}`,
    value: `${p95.toFixed(1)} ms`,
    against: "–",
    ratio: undefined,
    target: "≤ 50 ms",
    met: p95 <= 50,
  };
}

function named(processes: number): string {
  return processes === 1 ? "1 process" : `${processes} processes`;
}
