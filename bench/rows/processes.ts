/** What the processes of a server cost: its start, its memory, and the way of a request to the process of candidates. */
import { duels, middle, pairedRatio, residentMiB } from "../load.ts";
import { Sluice } from "../sluice.ts";
import { atMost, median, type Row, report } from "../table.ts";

const STARTS = Number(process.env.BENCH_STARTS ?? 7);
/** A small machine has 1 GiB. The rest of it is for versions, their requests and the system. */
const LIMIT_MIB = 700;
const CODE = `export default { fetch: () => new Response("ok") };`;

export async function measure(): Promise<Row[]> {
  const rows = [...(await starts())];
  const sluice = await Sluice.start();
  try {
    rows.push(...(await hop(sluice)));
  } finally {
    await sluice.stop();
  }
  return rows;
}

/** In turns, so that a machine whose speed drifts slows both alike. */
async function starts(): Promise<Row[]> {
  const kinds = { default: [], "--single-process": ["--single-process"] };
  const seconds = { default: [] as number[], "--single-process": [] as number[] };
  const mebibytes = { default: [] as number[], "--single-process": [] as number[] };
  for (let i = 0; i < STARTS; i++) {
    for (const kind of ["default", "--single-process"] as const) {
      const started = performance.now();
      const sluice = await Sluice.start(kinds[kind]);
      seconds[kind].push((performance.now() - started) / 1000);
      mebibytes[kind].push(sluice.allPids.reduce((sum, pid) => sum + residentMiB(pid), 0));
      await sluice.stop();
    }
  }
  const single = "--single-process";
  const memory = median(mebibytes.default);
  return [
    report(
      "start until /healthz answers, default processes",
      `${median(seconds.default).toFixed(2)} s`,
      `${single}: ${median(seconds[single]).toFixed(2)} s`,
      median(seconds.default) / median(seconds[single]),
    ),
    {
      what: "resident memory of all processes after the start, default",
      value: `${memory.toFixed(0)} MiB`,
      against: `${single}: ${median(mebibytes[single]).toFixed(0)} MiB`,
      ratio: memory / median(mebibytes[single]),
      target: `< ${LIMIT_MIB} MiB`,
      met: memory < LIMIT_MIB,
    },
  ];
}

/** The same code as the stable version and as the candidate of a Worker, whose preview hostname goes to that version. */
async function hop(sluice: Sluice): Promise<Row[]> {
  const stable = await sluice.deploy("bench", CODE);
  const candidate = await sluice.upload("bench", CODE);
  await sluice.split("bench", [stable, 99], [candidate, 1]);
  const { traffic_pids, canary_pid } = sluice.pids;
  const pids = [...traffic_pids, canary_pid];
  const url = (name: string) => `http://${name}.localhost:${sluice.trafficPort}/`;
  const label = (version: string) => `${version.slice(0, 8)}-bench`;
  console.log("\nThe way to the process of candidates, in turns:");
  const [result] = await duels(
    {
      candidate: { url: url(label(candidate)), pids },
      stable: { url: url(label(stable)), pids },
    },
    [{ ours: "candidate", theirs: "stable" }],
  );
  if (result === undefined) return [];
  const { ours, theirs } = result;
  const field = "cpuMicroseconds";
  const more = middle(ours, field) - middle(theirs, field);
  return [
    atMost(2.5, {
      what: "CPU per request of a candidate, with the way to its process",
      value: `${middle(ours, field).toFixed(0)} µs (${more.toFixed(0)} µs more)`,
      against: `stable version: ${middle(theirs, field).toFixed(0)} µs`,
      ratio: pairedRatio(ours, theirs, field),
    }),
  ];
}
