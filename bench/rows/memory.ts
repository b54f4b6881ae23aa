/** Memory of the serving process after thousands of deployments of new versions, under traffic. */
import { setTimeout as sleep } from "node:timers/promises";
import { LIMITS } from "../../src/lib/limits.ts";
import { residentMiB } from "../load.ts";
import { Sluice } from "../sluice.ts";
import { type Row, report } from "../table.ts";

const DEPLOYMENTS = Number(process.env.BENCH_DEPLOYMENTS ?? 2_000);
/** Deployments before the first reading, since the growth in a server's first minutes does not count. */
const WARM_UP = 20;
const LIMIT_MIB = 64;

export async function measure(): Promise<Row[]> {
  const sluice = await Sluice.start();
  try {
    return await grow(sluice);
  } finally {
    await sluice.stop();
  }
}

async function grow(sluice: Sluice): Promise<Row[]> {
  const deploy = (i: number) =>
    sluice.deploy("memory", `const n = ${i}; export default { fetch: () => new Response("version " + n) };`);
  for (let i = 0; i < WARM_UP; i++) {
    await deploy(i);
    await sluice.get("memory");
  }
  await settle();
  const before = residentMiB(sluice.pids.runtime_pid);

  let done = false;
  let requests = 0;
  let failed = 0;
  const load = (async () => {
    while (!done) {
      const { status, body } = await sluice.get("memory", `${requests++}`);
      if (status !== 200 || !body.startsWith("version ")) failed++;
      await sleep(1);
    }
  })();
  let peak = before;
  for (let i = 0; i < DEPLOYMENTS; i++) {
    await deploy(i);
    if (i % 20 === 0) peak = Math.max(peak, residentMiB(sluice.pids.runtime_pid));
  }
  done = true;
  await load;
  await settle();
  const growth = residentMiB(sluice.pids.runtime_pid) - before;
  return [
    {
      what: `resident memory after ${DEPLOYMENTS} deployments of new versions`,
      value: `+${growth.toFixed(0)} MiB`,
      against: `at the start: ${before.toFixed(0)} MiB; at most ${peak.toFixed(0)} MiB meanwhile`,
      ratio: undefined,
      target: `< +${LIMIT_MIB} MiB`,
      met: growth < LIMIT_MIB,
    },
    {
      what: "requests that failed meanwhile",
      value: `${failed} of ${requests}`,
      against: "–",
      ratio: undefined,
      target: "0",
      met: failed === 0,
    },
    report(
      "resident memory of the process that validates uploads",
      `${residentMiB(sluice.pids.validator_pid).toFixed(0)} MiB`,
    ),
  ];
}

/** Waits until the versions that left have been unloaded. */
function settle(): Promise<void> {
  return sleep(LIMITS.loading.drainMs * 2);
}
