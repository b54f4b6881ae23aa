/** The processor time of a candidate against its baseline, with real processes and traffic. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, deploy, type Reply, type Upload, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../support/server.ts";
import { Crowd } from "./crowd.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer({ args: ["--processes", "1"] });
});
afterAll(() => disposeServer(server));

/** Works for as many rounds as take 5 ms of processor time on a usual machine. There is no clock while a request computes. */
const burning = (rounds: number): Upload => ({
  modules: {
    "index.js": {
      content: `export default { fetch() {
        let sum = 0;
        for (let i = 0; i < ${rounds}; i++) sum = (sum * 31 + i) % 1000003;
        return new Response(String(sum));
      } };`,
    },
  },
});

async function begin(worker: string, [stable, candidate]: readonly [Upload, Upload]) {
  await deploy(server, worker, stable);
  const version_id = await uploadVersion(server, worker, candidate);
  const path = `/workers/scripts/${worker}/rollouts`;
  const stages = [10, 20].map((percentage) => ({ percentage, soak_seconds: 600 }));
  const { result } = await call(server, "POST", path, { version_id, stages, gates: { latency: false } });
  return {
    look: async () => (await call(server, "GET", `${path}/${result.id}`)).result,
    say: (command: string) => call(server, "POST", `${path}/${result.id}/${command}`, {}),
  };
}

/** Sends requests until the rollout shows what is wanted of it, and returns the rollout. */
async function until(
  worker: string,
  look: () => Promise<Reply["result"]>,
  is: (rollout: Reply["result"]) => boolean,
) {
  const crowd = new Crowd(server, worker, { lanes: 8, pauseMs: 0 });
  try {
    await waitUntil(async () => is(await look()), 120_000);
    return await look();
  } finally {
    await crowd.leave();
  }
}

test("a candidate that takes far more processor time is held, and goes on where an operator accepts that", async () => {
  const { look, say } = await begin("heavy", [burning(1), burning(1_000_000)]);
  const { reason, cpu } = await until("heavy", look, ({ phase }) => phase === "holding");
  expect(reason).toMatch(
    /^a request takes .+ ms of processor time on the candidate, and .+ ms on the stable version$/,
  );
  expect(cpu.candidate_ms).toBeGreaterThan(2 * cpu.baseline_ms);
  await say("approve");
  const { counts } = await look();
  const next = await until(
    "heavy",
    look,
    (rollout) => rollout.counts.total.candidate.exposures > counts.total.candidate.exposures + 20,
  );
  expect(next).toMatchObject({ phase: "running", stage: 1 });
});

test("a candidate that takes the same goes on, with both times known", async () => {
  const { look } = await begin("same", [burning(1), burning(2)]);
  const { phase, reason } = await until("same", look, ({ cpu }) => cpu !== null);
  expect([phase, reason]).toEqual(["running", "stage 1 of 3"]);
});
