/** `sluice rollback --offline`: a way out while no server runs. */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { answering, call, createDeployment, deploy, uploadVersion } from "../../support/client.ts";
import { cleanEnv, disposeServer, ROOT, type Server, startServer, waitUntil } from "../../support/server.ts";
import { deploymentsOf, runSluice } from "../helpers.ts";
import { LOOPING, underLoad } from "./load.ts";

/** A server that the test may stop and start again. The last one on the folder is disposed of. */
async function own(options: Parameters<typeof startServer>[0] = {}): Promise<Server> {
  const server = await startServer(options);
  onTestFinished(() => disposeServer(server));
  return server;
}

const rollback = ({ dataDir }: Server, ...args: string[]) =>
  runSluice(["rollback", ...args, "--offline", "--data-dir", dataDir]);

test("a server whose version loops on every request serves the good one after an offline rollback, under load all the time", async () => {
  const first = await own({ args: ["--hang-timeout", "2"] });
  const good = await deploy(first, "shop", answering("good"));
  const bad = await deploy(first, "shop", LOOPING);
  const end = underLoad(first, "shop", "/loop");
  onTestFinished(end);
  await sleep(1_000);
  await first.kill();
  const run = await rollback(first, "shop", "--message", "it loops");
  expect([run.code, run.stderr]).toEqual([0, ""]);
  expect(run.stdout).toMatch(new RegExp(`Before +#2 ${bad} 100%\\nNext +#1 ${good} 100%\\n.*next start`));
  const second = await own({ like: first });
  expect((await second.traffic("shop", { path: "/loop" })).body).toBe("good");
  const [active] = await deploymentsOf(second, "shop");
  expect(active).toMatchObject({
    source: "cli",
    versions: [{ version_id: good, percentage: 100 }],
    annotations: { "workers/message": "it loops" },
  });
  const { result } = await call(second, "GET", "/workers/scripts/shop/audit");
  expect(result.entries?.[0] ?? result[0]).toMatchObject({ action: "deployment", source: "cli" });
});

test("an offline rollback is refused while a server runs, and changes nothing; without --offline it goes through that server", async () => {
  const server = await own();
  const good = await deploy(server, "shop", answering("good"));
  const bad = await deploy(server, "shop", answering("bad"));
  const refused = await rollback(server, "shop");
  expect([refused.code, refused.stdout]).toEqual([1, ""]);
  expect(refused.stderr).toMatch(/Another server, .* is using .*Without --offline/);
  expect((await server.traffic("shop")).body).toBe("bad");
  const run = await runSluice(["rollback", "shop", "--json", "--data-dir", server.dataDir], {
    SLUICE_API_TOKEN: "token-for-the-tests",
  });
  expect([run.code, run.stderr]).toEqual([0, ""]);
  expect(JSON.parse(run.stdout)).toEqual({
    worker: "shop",
    before: [{ version_id: bad, number: 2, percentage: 100 }],
    after: [{ version_id: good, number: 1, percentage: 100 }],
    deployment_id: expect.any(String),
    offline: false,
  });
  expect((await server.traffic("shop")).body).toBe("good");
});

test("an offline rollback that cannot be made says why in a sentence, and changes nothing", async () => {
  const first = await own();
  await deploy(first, "once", answering("once"));
  const stable = await deploy(first, "shop", answering("good"));
  const candidate = await uploadVersion(first, "shop", answering("candidate"));
  await createDeployment(first, "shop", [
    [stable, 90],
    [candidate, 10],
  ]);
  const why = "it hangs";
  await call(first, "POST", "/workers/scripts/shop/quarantine", { version_id: candidate, why });
  const before = await deploymentsOf(first, "shop");
  await first.stop();
  for (const [args, says] of [
    [["nobody"], /no Worker named "nobody"/],
    [["once"], /no earlier deployment.*Nothing was changed/],
    [["shop", "00000000-0000-0000-0000-000000000000"], /has no version 0000/],
    [["shop", candidate], /quarantine: it hangs/],
  ] as const) {
    const run = await rollback(first, ...args);
    expect([run.code, run.stdout]).toEqual([1, ""]);
    expect(run.stderr).toMatch(says);
    expect(run.stderr).not.toMatch(/\n\s+at /);
  }
  const same = await rollback(first, "shop", stable, "--json");
  expect([same.code, JSON.parse(same.stdout).deployment_id]).toEqual([0, null]);
  const elsewhere = await runSluice([
    ...["rollback", "shop", "--offline", "--data-dir"],
    join(first.dataDir, "nowhere"),
  ]);
  expect([elsewhere.code, elsewhere.stderr]).toEqual([1, expect.stringContaining("no server's data")]);
  expect(readdirSync(first.dataDir)).not.toContain("nowhere");
  const second = await own({ like: first });
  expect(await deploymentsOf(second, "shop")).toEqual(before);
});

test("a kill during an offline rollback leaves the old deployment or the new one, and the folder starts", async () => {
  const first = await own();
  const bad = await deploy(first, "shop", answering("bad"));
  const good = await deploy(first, "shop", answering("good"));
  await first.stop();
  const began = Date.now();
  expect((await rollback(first, "shop", bad)).code).toBe(0);
  const whole = Date.now() - began;
  // From before anything runs to about the change.
  for (const part of [0.2, 0.5, 0.7, 0.9]) {
    const child = spawn(
      process.execPath,
      [join(ROOT, "bin/sluice.js"), "rollback", "shop", good, "--offline", "--data-dir", first.dataDir],
      { cwd: ROOT, stdio: "ignore", env: cleanEnv() },
    );
    await sleep(part * whole);
    child.kill("SIGKILL");
    await waitUntil(() => child.exitCode !== null || child.signalCode !== null);
    const server = await startServer({ like: first });
    const [active] = await deploymentsOf(server, "shop");
    const body = active.versions[0].version_id === good ? "good" : "bad";
    expect(active.versions).toHaveLength(1);
    expect((await server.traffic("shop")).body).toBe(body);
    await server.stop();
  }
  const run = await rollback(first, "shop", good);
  expect([run.code, run.stderr]).toEqual([0, ""]);
});
