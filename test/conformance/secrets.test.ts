/** `wrangler secret …`, which deploys what it changes, and `wrangler versions secret …`, which does not. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { call, createDeployment, deploy, type Upload, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer } from "../support/server.ts";
import type { Project } from "../support/wrangler.ts";
import {
  activeSplit,
  deploymentsOf,
  ENV_WORKER,
  fail,
  failed,
  idAfter,
  leavesAlone,
  succeed,
  succeeded,
  textOf,
  useProject,
  versionsOf,
} from "./project.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

/** A Worker that answers with its `env`. */
function withEnv(...bindings: readonly object[]): Upload {
  return { modules: { "index.js": { content: ENV_WORKER } }, metadata: { bindings } };
}

const secret = (name: string, text: string) => ({ type: "secret_text", name, text });
const variable = (name: string, text: string) => ({ type: "plain_text", name, text });

async function envOf(worker: string): Promise<unknown> {
  return JSON.parse(await textOf(server, worker));
}

/** Runs a command with something on its standard input; it must succeed. */
async function feed(project: Project, input: string, ...args: readonly string[]): Promise<string> {
  return succeeded(await project.wrangler(args, input));
}

describe("secret put", () => {
  test("gives the running Worker the value at once, beside what it had, in a version of its own", async () => {
    const before = await deploy(server, "put", withEnv(variable("NAME", "n"), secret("OLD", "old")));
    const project = await useProject(server, "put");

    const output = await feed(project, "hunter2\n", "secret", "put", "PASSWORD");

    expect(output).toContain("Success! Uploaded secret PASSWORD");
    expect(await envOf("put")).toEqual({ NAME: "n", OLD: "old", PASSWORD: "hunter2" });
    const [latest, first] = await versionsOf(server, "put");
    expect(first.id).toBe(before);
    expect(latest.annotations).toMatchObject({
      "workers/triggered_by": "secret",
      "workers/message": 'Updated secret "PASSWORD"',
    });
    expect(await activeSplit(server, "put")).toEqual([[latest.id, 100]]);

    await feed(project, "hunter3", "secret", "put", "PASSWORD");
    expect(await envOf("put")).toEqual({ NAME: "n", OLD: "old", PASSWORD: "hunter3" });
  });

  test("of a Worker that does not exist creates a draft with the secret, which the first deploy keeps", async () => {
    const project = await useProject(server, "unborn", { code: ENV_WORKER });

    const output = await feed(project, "early", "secret", "put", "BIRD");

    expect(output).toContain('There doesn\'t seem to be a Worker called "unborn"');
    expect(output).toContain("Success! Uploaded secret BIRD");
    await succeed(project, "deploy");
    expect(await envOf("unborn")).toEqual({ BIRD: "early" });
  });

  test("while the latest version is not deployed is refused with wrangler's advice, and so are delete and bulk", async () => {
    await deploy(server, "pending", withEnv(secret("S", "live")));
    await uploadVersion(server, "pending", withEnv());
    const project = await useProject(server, "pending");

    await leavesAlone(server, "pending", async () => {
      const put = failed(await project.wrangler(["secret", "put", "S"], "other"));
      expect(put).toContain(
        "Secret edit failed. You attempted to modify a secret, but the latest version of your Worker isn't currently deployed.",
      );
      expect(put).toContain("`wrangler versions secret put`");

      const bulk = failed(await project.wrangler(["secret", "bulk"], '{"S":"other"}'));
      expect(bulk).toContain("`wrangler versions secret bulk`");

      const deleted = await fail(project, "secret", "delete", "S");
      expect(deleted).toContain("[code: 10215]");
      expect(deleted).toContain("`wrangler versions secret`");
    });
    expect(await envOf("pending")).toEqual({ S: "live" });
  });

  test("while two versions share the traffic is refused too, though the latest one is among them", async () => {
    const a = await deploy(server, "sharing", withEnv());
    const b = await uploadVersion(server, "sharing", withEnv());
    await createDeployment(server, "sharing", [
      [a, 90],
      [b, 10],
    ]);
    const project = await useProject(server, "sharing");
    await leavesAlone(server, "sharing", async () => {
      const output = failed(await project.wrangler(["secret", "put", "S"], "v"));
      expect(output).toContain("Secret edit failed.");
    });
  });

  test("under the name of a variable is refused, and the variable stays", async () => {
    await deploy(server, "taken", withEnv(variable("NAME", "n")));
    const project = await useProject(server, "taken");
    await leavesAlone(server, "taken", async () => {
      const output = failed(await project.wrangler(["secret", "put", "NAME"], "v"));
      expect(output).toContain('"NAME" is already a plain_text binding');
    });
  });
});

test("secret list names the secrets and no variables", async () => {
  await deploy(server, "list", withEnv(secret("A", "1"), variable("NAME", "n"), secret("B", "2")));
  const project = await useProject(server, "list");
  expect(JSON.parse(await succeed(project, "secret", "list"))).toEqual([
    { name: "A", type: "secret_text" },
    { name: "B", type: "secret_text" },
  ]);
  expect(await fail(project, "secret", "list", "--name", "list-nobody")).toContain(
    'Worker "list-nobody" not found.',
  );
});

test("secret delete takes the value away from the running Worker, and no other; twice is an error", async () => {
  await deploy(server, "delete", withEnv(secret("A", "1"), secret("B", "2")));
  const project = await useProject(server, "delete");

  expect(await succeed(project, "secret", "delete", "A")).toContain("Success! Deleted secret A");
  expect(await envOf("delete")).toEqual({ B: "2" });

  const again = await leavesAlone(server, "delete", () => fail(project, "secret", "delete", "A"));
  expect(again).toContain('The Worker "delete" has no secret named "A"');
});

test("secret bulk sets and deletes in one version, and does nothing of it where one part is wrong", async () => {
  await deploy(server, "bulk", withEnv(secret("OLD", "old"), secret("KEPT", "kept"), variable("NAME", "n")));
  const project = await useProject(server, "bulk");

  const output = await feed(project, JSON.stringify({ NEW: "two\nlines ✓", OLD: null }), "secret", "bulk");
  expect(output).toContain("Successfully created secret for key: NEW");
  expect(output).toContain("Successfully deleted secret for key: OLD");
  expect(await envOf("bulk")).toEqual({ KEPT: "kept", NAME: "n", NEW: "two\nlines ✓" });
  expect(await versionsOf(server, "bulk")).toHaveLength(2);

  await leavesAlone(server, "bulk", async () => {
    const wrong = failed(await project.wrangler(["secret", "bulk"], '{"MORE":"m","NAME":"clash"}'));
    expect(wrong).toContain('"NAME" is already a plain_text binding');
  });
});

test("a deploy keeps every secret, and one with --secrets-file adds to them", async () => {
  await deploy(server, "kept", withEnv(secret("A", "1")));
  const project = await useProject(server, "kept", { code: ENV_WORKER, files: { ".secrets": "B=2\n" } });
  await succeed(project, "deploy");
  expect(await envOf("kept")).toEqual({ A: "1" });
  await succeed(project, "deploy", "--secrets-file", ".secrets");
  expect(await envOf("kept")).toEqual({ A: "1", B: "2" });
});

describe("versions secret", () => {
  test("put makes a version with the value and changes no traffic until that version is deployed", async () => {
    await deploy(server, "v-put", withEnv(variable("NAME", "n")));
    const deployments = await deploymentsOf(server, "v-put");
    const project = await useProject(server, "v-put");

    const output = await feed(project, "later\n", "versions", "secret", "put", "S");

    expect(output).toContain("with secret S.");
    const id = idAfter("Created version", output);
    const [latest] = await versionsOf(server, "v-put");
    expect(latest).toMatchObject({ id, annotations: { "workers/message": 'Updated secret "S"' } });
    expect(await deploymentsOf(server, "v-put")).toEqual(deployments);
    expect(await envOf("v-put")).toEqual({ NAME: "n" });

    await succeed(project, "versions", "deploy", id, "-y");
    expect(await envOf("v-put")).toEqual({ NAME: "n", S: "later" });
  });

  test("bulk and delete build on the latest version, and list tells deployed from latest", async () => {
    await deploy(server, "v-bulk", withEnv(secret("LIVE", "live")));
    const project = await useProject(server, "v-bulk");

    await leavesDeployed("v-bulk", async () => {
      const bulk = await feed(project, '{"A":"1","B":"2"}', "versions", "secret", "bulk");
      expect(bulk).toContain("with 2 secrets created and 0 secrets deleted");
      const deleted = await succeed(project, "versions", "secret", "delete", "LIVE");
      expect(deleted).toContain("with deleted secret LIVE");
    });

    const [latest, , first] = await versionsOf(server, "v-bulk");
    const deployed = await succeed(project, "versions", "secret", "list");
    expect(deployed).toContain(`-- Version ${first.id} (100%) secrets --`);
    expect(namesIn(deployed)).toEqual(["LIVE"]);
    const newest = await succeed(project, "versions", "secret", "list", "--latest-version");
    expect(newest).toContain(`-- Version ${latest.id} (0%) secrets --`);
    expect(namesIn(newest)).toEqual(["A", "B"]);

    await succeed(project, "versions", "deploy", latest.id, "-y");
    expect(await envOf("v-bulk")).toEqual({ A: "1", B: "2" });
  });

  test("list names the secrets of both versions of a split", async () => {
    const a = await deploy(server, "v-list", withEnv(secret("A", "1")));
    const b = await uploadVersion(server, "v-list", withEnv(secret("B", "2")));
    await createDeployment(server, "v-list", [
      [a, 70],
      [b, 30],
    ]);
    const project = await useProject(server, "v-list");
    const output = await succeed(project, "versions", "secret", "list");
    const [, ofA = "", ofB = ""] = output.split("-- Version ");
    expect(ofA).toContain(`${a} (70%)`);
    expect(namesIn(ofA)).toEqual(["A"]);
    expect(ofB).toContain(`${b} (30%)`);
    expect(namesIn(ofB).sort()).toEqual(["A", "B"]);
  });

  test("of a Worker that does not exist, put is refused and creates nothing", async () => {
    const project = await useProject(server, "v-nobody");
    const output = failed(await project.wrangler(["versions", "secret", "put", "S"], "v"));
    expect(output).toContain('There is no Worker named "v-nobody"');
    expect((await server.api("GET", "/workers/services/v-nobody")).status).toBe(404);
  });
});

test("no command prints a secret's value, and no reply of the API or line of the log has it", async () => {
  const value = "correct-horse-battery-staple";
  const project = await useProject(server, "discreet", { code: ENV_WORKER });
  const printed: string[] = [];
  const run = async (args: readonly string[], input = "", expected = 0) => {
    const { code, output } = await project.wrangler(args, input);
    expect({ code, output }).toEqual({ code: expected, output });
    printed.push(output);
    return output;
  };

  const first = idAfter("Current Version ID", await run(["deploy"]));
  await run(["secret", "put", "S"], value);
  await run(["secret", "bulk"], JSON.stringify({ T: value }));
  expect(await envOf("discreet")).toEqual({ S: value, T: value });
  const [live] = await versionsOf(server, "discreet");
  await run(["versions", "secret", "put", "U"], value);
  await run(["secret", "put", "REFUSED"], value, 1);
  await run(["versions", "list", "--json"]);
  await run(["versions", "view", live.id]);
  await run(["versions", "secret", "list"]);
  await run(["versions", "deploy", `${first}@10`, `${live.id}@90`]);
  await run(["deployments", "status", "--json"]);
  for (const output of printed) expect(output).not.toContain(value);

  const script = "/workers/scripts/discreet";
  for (const path of [
    ...[`${script}/versions`, `${script}/versions/${live.id}`, `${script}/deployments`, `${script}/secrets`],
    ...[`${script}/settings`, `${script}/script-settings`, `${script}/explain?key=k`],
    ...["/workers/services/discreet", "/workers/workers/discreet"],
  ]) {
    const response = await server.api("GET", path);
    expect(response.status, path).toBe(200);
    expect(await response.text(), path).not.toContain(value);
  }
  const put = await call(server, "PUT", `${script}/secrets`, { name: "S", text: value });
  expect(JSON.stringify(put)).not.toContain(value);
  expect(server.output).not.toContain(value);
});

/** Runs something and checks that what is deployed and answered stays; new versions may appear. */
async function leavesDeployed(worker: string, run: () => Promise<void>): Promise<void> {
  const before = [await deploymentsOf(server, worker), await envOf(worker)];
  await run();
  expect([await deploymentsOf(server, worker), await envOf(worker)]).toEqual(before);
}

function namesIn(output: string): string[] {
  return [...output.matchAll(/Secret Name: (\S+)/g)].map(([, name]) => name ?? "");
}
