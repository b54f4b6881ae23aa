/** The commands beside `serve`. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { call, createDeployment, deploy, readEnvelope, uploadVersion } from "../../support/client.ts";
import { disposeServer, freePort, type Server, startServer, TOKEN } from "../../support/server.ts";
import { answersFor, inParallel, keys, NAMING_ITSELF, runSluice } from "../helpers.ts";

/** A folder that is deleted after the test. */
async function useFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe("a command finds a server on other ports than the default ones through the data folder:", () => {
  let folder: string;
  let server: Server;
  let token: string;
  let ids: readonly [string, string];

  beforeAll(async () => {
    server = await startServer();
    folder = server.dataDir;
    // The commands read the token of the folder; the harness gives the server one on the command line.
    token = TOKEN;
    await writeFile(join(folder, "token"), `${token}\n`, { mode: 0o600 });
    const stable = await deploy(server, "split", NAMING_ITSELF);
    const candidate = await uploadVersion(server, "split", NAMING_ITSELF);
    await createDeployment(server, "split", [
      [stable, 70],
      [candidate, 30],
    ]);
    ids = [stable, candidate];
  });

  afterAll(() => disposeServer(server));

  const explain = (...args: string[]) => runSluice(["explain", ...args, "--data-dir", folder]);

  test("`sluice env` prints variables that a shell can eval and that the API accepts", async () => {
    const run = await runSluice(["env", "--data-dir", folder]);
    expect(run).toMatchObject({ code: 0, stderr: "" });
    expect(run.stdout).toMatch(/^export [^\n]*\n$/);
    const shell = spawn("sh", ["-c", 'eval "$0" && env', run.stdout], { env: { PATH: process.env.PATH } });
    let text = "";
    shell.stdout.on("data", (chunk) => {
      text += chunk;
    });
    expect(await once(shell, "close")).toEqual([0, null]);
    const variables = Object.fromEntries(text.split("\n").map((line) => line.split(/=(.*)/s, 2)));
    expect(variables).toMatchObject({
      CLOUDFLARE_API_BASE_URL: `${server.control}/client/v4`,
      CLOUDFLARE_API_TOKEN: token,
      CLOUDFLARE_ACCOUNT_ID: "sluice",
    });
    const response = await fetch(`${variables.CLOUDFLARE_API_BASE_URL}/accounts`, {
      headers: { Authorization: `Bearer ${variables.CLOUDFLARE_API_TOKEN}` },
    });
    const { result } = await readEnvelope(response);
    expect(result).toEqual([{ id: variables.CLOUDFLARE_ACCOUNT_ID, name: "Sluice" }]);
  });

  test("the API and `sluice explain --json` name the version that traffic gets, for each of 50 keys", async () => {
    const asked = keys(50, "person+%3a@example.org, no");
    const answers = await answersFor(server, "split", asked);
    expect(new Set(answers.values())).toEqual(new Set(ids));
    await inParallel(4, asked, async (key) => {
      const query = new URLSearchParams({ key });
      const { result } = await call(server, "GET", `/workers/scripts/split/explain?${query}`);
      expect(result).toMatchObject({ key, reason: "key", version_id: answers.get(key) });
    });
    await inParallel(2, asked.slice(0, 8), async (key) => {
      const run = await explain("split", "--key", key, "--json");
      expect(run).toMatchObject({ code: 0, stderr: "" });
      const explained = JSON.parse(run.stdout);
      expect(explained).toMatchObject({ worker: "split", key, reason: "key", version_id: answers.get(key) });
      expect(explained.hash < explained.boundary).toBe(
        explained.version_id === explained.candidate_version_id,
      );
    });
  });

  test("`sluice explain` says the same in words", async () => {
    const explained = JSON.parse((await explain("split", "--key", "k", "--json")).stdout);
    const run = await explain("split", "--key", "k");
    expect(run).toMatchObject({ code: 0, stderr: "" });
    for (const words of [
      "split",
      '"k"',
      `${explained.version_id}  (#${explained.version_number})`,
      "key: the key's hash decides",
      String(explained.hash),
      String(explained.boundary),
      `${ids[0]}  #1  70%  stable`,
      `${ids[1]}  #2  30%  candidate`,
    ]) {
      expect(run.stdout).toContain(words);
    }
    const overridden = await explain("split", "--key", "k", "--override", ids[1]);
    expect(overridden.stdout).toContain(`${ids[1]}  (#2)`);
    expect(overridden.stdout).toContain("override");
  });

  test("`sluice explain` of an unknown Worker exits with 1 and says what to do", async () => {
    const run = await explain("nobody", "--key", "k");
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/nobody.*wrangler deploy/s);
    expect(run.stderr).not.toMatch(/\n\s+at /);
  });

  test("`sluice explain` without a key exits with 1 and says what is missing", async () => {
    const run = await explain("split");
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/key/);
    expect(run.stderr).not.toMatch(/\n\s+at /);
  });

  test("`sluice wrangler` runs wrangler with its arguments, its exit code and this account", async () => {
    const whoami = await runSluice(["wrangler", "whoami"], { SLUICE_DATA_DIR: folder });
    expect(whoami.code, whoami.stderr).toBe(0);
    expect(whoami.stdout).toContain("sluice");
    expect(whoami.stdout).toMatch(/│\s*Sluice\s*│/);
    expect(whoami.stdout + whoami.stderr).not.toContain(token);
    const failed = await runSluice(["wrangler", "versions", "list", "--name", "nobody"], {
      SLUICE_DATA_DIR: folder,
    });
    expect(failed.code).not.toBe(0);
    expect(failed.stdout + failed.stderr).toContain("10007");
  });

  test("a command without a server says how to start one, and prints no stack", async () => {
    const empty = await useFolder();
    for (const args of [
      ["env", "--data-dir", empty],
      ["explain", "split", "--key", "k", "--data-dir", empty],
    ]) {
      const run = await runSluice(args);
      expect(run).toMatchObject({ code: 1, stdout: "" });
      expect(run.stderr).toMatch(/npm start/);
      expect(run.stderr).not.toMatch(/\n\s+at /);
    }
    const unreachable = await runSluice(["explain", "split", "--key", "k", "--data-dir", empty], {
      SLUICE_API_TOKEN: TOKEN,
      SLUICE_CONTROL_PORT: String(await freePort()),
    });
    expect(unreachable).toMatchObject({ code: 1, stdout: "" });
    expect(unreachable.stderr).toMatch(/No server answers .*npm start/);
  });
});
