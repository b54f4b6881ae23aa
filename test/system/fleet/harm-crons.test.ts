/**
 * A cron trigger that does each harm. A run that was missed while the server was down happens at the next start, so the
 * tests need not wait for a minute to begin.
 */
import { afterEach, expect, test } from "vitest";
import { call, deploy } from "../../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../../support/server.ts";
import {
  TRIED,
  expectEnds,
  expectRecovered,
  expectSpared,
  type Harm,
  HARMS,
  harmful,
  SERVER_ARGS,
  startWatched,
  watch,
} from "./harms.ts";

let server: Server;
afterEach(() => disposeServer(server));

/** Expressions that are all due at every minute. */
const EXPRESSIONS = [
  "* * * * *",
  "*/1 * * * *",
  "0-59 * * * *",
  "* 0-23 * * *",
  "* */1 * * *",
  "* * 1-31 * *",
];

/** Has a Worker's crons do these harms, and comes to the time at which they are due. */
async function comeTo(worker: string, harms: readonly Harm[]): Promise<void> {
  server = await startWatched();
  const crons = Object.fromEntries(harms.map((harm, i) => [EXPRESSIONS[i], harm]));
  await deploy(server, worker, harmful([{ type: "json", name: "CRONS", json: crons }]));
  const body = Object.keys(crons).map((cron) => ({ cron }));
  expect((await call(server, "PUT", `/workers/scripts/${worker}/schedules`, body)).errors).toEqual([]);
  await server.stop();
  server = await startServer({ like: server, args: [...SERVER_ARGS, "--clock-offset=120"] });
}

async function outcomes(worker: string): Promise<Record<string, string>> {
  const { result } = await call(server, "GET", `/workers/scripts/${worker}/schedules/runs`);
  return Object.fromEntries(result.map((run: { cron: string; outcome: string }) => [run.cron, run.outcome]));
}

/** Waits until runs have the outcomes, and measures what others notice until all works again. */
async function measure(worker: string, expected: Readonly<Record<string, unknown>>) {
  const over = waitUntil(async () => {
    const found = await outcomes(worker);
    return Object.entries(expected).every(([cron, outcome]) => found[cron] === outcome);
  }).then(() => expectRecovered(server, worker));
  const noticed = await watch(server, over);
  await over;
  return noticed;
}

test.each(TRIED.filter((harm) => HARMS[harm].ends))(
  "a cron that does this harm hurts objects for one restart at most, and is not run again: %s",
  async (harm) => {
    await comeTo("cron", [harm]);
    const noticed = await measure("cron", { "* * * * *": "unknown" });
    await expectEnds(server, "", "objects");
    expectSpared(`cron ${harm}`, noticed, ["objects"], { server, since: "" });
  },
);

test("a cron that does any other harm hurts nobody else, and its outcome is recorded", async () => {
  const gentle = TRIED.filter((harm) => !HARMS[harm].ends);
  await comeTo("cron", gentle);
  const expected = { deep: "exception", never: "running", late: "ok", broken: "exception", timers: "ok" };
  const byCron = Object.entries(expected)
    .filter(([harm]) => gentle.includes(harm as Harm))
    .map(([harm, outcome]) => [EXPRESSIONS[gentle.indexOf(harm as Harm)], outcome]);
  const noticed = await measure("cron", Object.fromEntries(byCron));
  await expectEnds(server, "", undefined);
  expectSpared("cron subrequests and others", noticed, [], { server, since: "" });
});
