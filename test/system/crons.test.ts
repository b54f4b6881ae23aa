/** Cron triggers by a clock that is moved: the server is started at another time. */

import { afterEach, expect, test } from "vitest";
import { call, createDeployment, deploy, type Reply, type Upload, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../support/server.ts";
import { damageCode } from "../support/stored.ts";

const DAY = 86_400_000;

/** Seconds to add so that the server's time is `before` ms before this one. */
const offsetTo = (time: string, before: number) => (Date.parse(time) - before - Date.now()) / 1000;
const at = (time: string, before: number, more: readonly string[] = []) => ({
  args: [`--clock-offset=${offsetTo(time, before)}`, ...more],
});

const setCrons = (server: Server, worker: string, ...crons: string[]) =>
  call(
    server,
    "PUT",
    `/workers/scripts/${worker}/schedules`,
    crons.map((cron) => ({ cron })),
  );
const runsOf = async (server: Server, worker: string): Promise<Reply["result"][]> =>
  (await call(server, "GET", `/workers/scripts/${worker}/schedules/runs`)).result;
const ended = (runs: readonly { outcome: string }[]) => runs.every(({ outcome }) => outcome !== "running");

const code = (scheduled: string): Upload => ({
  modules: { "index.js": { content: `export default { fetch: () => new Response("x"), ${scheduled} };` } },
});
const QUIET = code("scheduled: () => {}");

let servers: Server[] = [];
afterEach(async () => {
  // Some of them are on one folder.
  for (const server of servers) await server.stop();
  for (const server of servers) await disposeServer(server);
  servers = [];
});

/** A server that the test may end itself. */
async function own(options: Parameters<typeof startServer>[0]): Promise<Server> {
  const server = await startServer(options);
  servers.push(server);
  return server;
}

/** The day before `time`: what is set up now is older than that. */
const dayBefore = (time: string) => own(at(time, DAY));

/** Comes to that time, however long the machine takes for it: what is due by then has its own time. */
async function come(server: Server, time: string): Promise<Server> {
  await server.stop();
  return own({ like: server, ...at(time, 0) });
}

test("a trigger fires at its time on a leap day, and not at the same time of another day", async () => {
  const before = await dayBefore("2028-02-29T00:00:00Z");
  await deploy(before, "leap", QUIET);
  await setCrons(before, "leap", "0 0 29 2 *", "0 0 28 2 *");
  const server = await come(before, "2028-02-29T00:00:00Z");
  await waitUntil(
    async () => (await runsOf(server, "leap")).length > 0 && ended(await runsOf(server, "leap")),
  );
  expect(await runsOf(server, "leap")).toEqual([
    expect.objectContaining({
      cron: "0 0 29 2 *",
      scheduled_time: "2028-02-29T00:00:00.000Z",
      outcome: "ok",
    }),
  ]);
});

test("a run missed while the server was down happens once, with its scheduled time, and no run is repeated", async () => {
  const before = await own(at("2026-12-01T03:00:00Z", 2 * DAY));
  await deploy(before, "nightly", QUIET);
  await setCrons(before, "nightly", "0 3 * * *");
  await before.stop();
  const after = await own({ like: before, ...at("2026-12-01T03:00:00Z", -3_600_000) });
  await waitUntil(
    async () => (await runsOf(after, "nightly")).length > 0 && ended(await runsOf(after, "nightly")),
  );
  const made = [expect.objectContaining({ scheduled_time: "2026-12-01T03:00:00.000Z", outcome: "ok" })];
  expect(await runsOf(after, "nightly")).toEqual(made);
  await after.kill();
  const again = await own({ like: before, ...at("2026-12-01T03:00:00Z", -7_200_000) });
  // A clock that went back: it fires again when it has come to where it was.
  await again.stop();
  const back = await own({ like: before, ...at("2026-12-01T03:00:00Z", 1_500) });
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  expect(await runsOf(back, "nightly")).toEqual(made);
});

test("a trigger that is added later runs for no time before it was added", async () => {
  const before = await dayBefore("2026-12-01T00:00:00Z");
  await deploy(before, "later", QUIET);
  await setCrons(before, "later", "0 0 * * *");
  const server = await come(before, "2026-12-01T00:00:00Z");
  await waitUntil(
    async () => (await runsOf(server, "later")).length === 1 && ended(await runsOf(server, "later")),
  );
  await server.stop();
  const noon = await own({ like: server, ...at("2026-12-01T12:00:00Z", 0) });
  await setCrons(noon, "later", "0 0 * * *", "0 6 * * *");
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(await runsOf(noon, "later")).toHaveLength(1);
});

test("the split decides which version runs, by the time, and the run says which it was", async () => {
  const before = await dayBefore("2026-12-01T00:00:00Z");
  const a = await deploy(before, "halves", QUIET);
  const b = await uploadVersion(before, "halves", QUIET);
  await createDeployment(before, "halves", [
    [a, 50],
    [b, 50],
  ]);
  // The same minute for all of them, so the same version.
  await setCrons(before, "halves", "0 0 1 12 *", "0 0 * * *", "0 0 1 * *", "0 0 1 12 tue");
  const server = await come(before, "2026-12-01T00:00:00Z");
  await waitUntil(
    async () => (await runsOf(server, "halves")).length === 4 && ended(await runsOf(server, "halves")),
  );
  const runs = await runsOf(server, "halves");
  expect(new Set(runs.map(({ version_id }) => version_id)).size).toBe(1);
  const time = String(Date.parse("2026-12-01T00:00:00Z"));
  const { result } = await call(server, "GET", `/workers/scripts/halves/explain?key=${time}`);
  expect(runs[0].version_id).toBe(result.version_id);
});

test("a run that fails says why, one without a handler too, and neither stops another Worker's", async () => {
  const before = await dayBefore("2026-12-01T00:00:00Z");
  await deploy(before, "throws", code("scheduled() { throw new RangeError('no disk') }"));
  await deploy(before, "lacks", code(""));
  await deploy(
    before,
    "works",
    code("async scheduled(event, env, ctx) { event.noRetry(); ctx.waitUntil(Promise.resolve()); }"),
  );
  for (const worker of ["throws", "lacks", "works"]) await setCrons(before, worker, "0 0 * * *");
  const server = await come(before, "2026-12-01T00:00:00Z");
  const outcome = async (worker: string) => {
    await waitUntil(
      async () => (await runsOf(server, worker)).length === 1 && ended(await runsOf(server, worker)),
    );
    const [{ outcome, error }] = (await runsOf(server, worker)) as [Reply["result"]];
    return [outcome, error];
  };
  expect(await outcome("works")).toEqual(["ok", null]);
  expect(await outcome("throws")).toEqual(["exception", "no disk"]);
  expect(await outcome("lacks")).toEqual(["exception", "Handler does not export a scheduled() function."]);
});

test("where the chosen version cannot be loaded the stable one runs", async () => {
  const first = await own(at("2026-12-01T00:00:00Z", DAY));
  const stable = await deploy(first, "broken", QUIET);
  const candidate = await uploadVersion(first, "broken", QUIET);
  await createDeployment(first, "broken", [
    [stable, 1],
    [candidate, 99],
  ]);
  await setCrons(first, "broken", "0 0 * * *");
  await first.stop();
  damageCode(first, candidate, "garbage");
  const server = await own({ like: first, ...at("2026-12-01T00:00:00Z", 0) });
  await waitUntil(
    async () => (await runsOf(server, "broken")).length === 1 && ended(await runsOf(server, "broken")),
  );
  expect(await runsOf(server, "broken")).toMatchObject([{ outcome: "ok", version_id: stable }]);
});

test("a run that a crash ends is not repeated, and is not called a success", async () => {
  const before = await dayBefore("2026-12-01T00:00:00Z");
  await deploy(
    before,
    "long",
    code("scheduled: () => new Promise((resolve) => setTimeout(resolve, 60_000))"),
  );
  await setCrons(before, "long", "0 0 * * *");
  const server = await come(before, "2026-12-01T00:00:00Z");
  await waitUntil(async () => (await runsOf(server, "long")).length === 1);
  await server.kill();
  const again = await own({ like: server, ...at("2026-12-01T00:00:00Z", -60_000) });
  expect(await runsOf(again, "long")).toMatchObject([
    { outcome: "unknown", scheduled_time: "2026-12-01T00:00:00.000Z" },
  ]);
});
