/** `wrangler versions upload`, and the commands that only read: versions list/view, deployments list/status. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, createDeployment, deploy, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer } from "../support/server.ts";
import type { Project } from "../support/wrangler.ts";
import {
  answer,
  deploymentsOf,
  ENV_WORKER,
  expectNotServed,
  fail,
  idAfter,
  succeed,
  textOf,
  UNKNOWN_VERSION,
  useProject,
  versionsOf,
} from "./project.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

/** A Worker with an old version at 60% and a new one at 40%, deployed one after the other. */
async function seed(worker: string): Promise<{ project: Project; old: string; young: string }> {
  const old = await deploy(server, worker, {
    ...answering("old"),
    metadata: { annotations: { "workers/tag": "v1", "workers/message": "the old one" } },
  });
  const young = await uploadVersion(server, worker, {
    ...answering("young"),
    metadata: {
      annotations: { "workers/tag": "v2", "workers/message": "the young one" },
      bindings: [{ type: "json", name: "LIMIT", json: { max: 3 } }],
      compatibility_flags: ["nodejs_compat"],
    },
  });
  const split = [[old, 60] as const, [young, 40] as const];
  await createDeployment(server, worker, split, "careful");
  return { project: await useProject(server, worker), old, young };
}

describe("versions upload", () => {
  test("is refused before the first deploy, in wrangler's words, and creates nothing", async () => {
    const project = await useProject(server, "too-early");

    const output = await fail(project, "versions", "upload");

    expect(output).toContain(
      "You cannot upload a new version of a Worker that does not yet exist. Please run the `deploy` command first.",
    );
    await expectNotServed(server, "too-early");
    expect((await server.api("GET", "/workers/services/too-early")).status).toBe(404);
  });

  test("adds a version with its tag and message, and changes no traffic and no deployment", async () => {
    await deploy(server, "uploaded", answering("live"));
    const deployments = await deploymentsOf(server, "uploaded");
    const project = await useProject(server, "uploaded", {
      code: answer("waiting"),
      config: { vars: { A: "a" } },
    });

    const output = await succeed(
      project,
      ...["versions", "upload", "--tag", "next", "--message", "not yet live"],
    );

    expect(output).toMatch(/Worker Startup Time: \d+ ms/);
    expect(output).toContain("Uploaded uploaded");
    expect(output).toContain("wrangler versions deploy");
    const id = idAfter("Worker Version ID", output);
    expect(output).toContain(`Version Preview URL: https://${id.slice(0, 8)}-uploaded.localhost`);
    const [newest] = await versionsOf(server, "uploaded");
    expect(newest).toMatchObject({
      id,
      number: 2,
      annotations: {
        "workers/triggered_by": "version_upload",
        "workers/tag": "next",
        "workers/message": "not yet live",
      },
      resources: { bindings: [{ type: "plain_text", name: "A", text: "a" }] },
    });
    expect(await deploymentsOf(server, "uploaded")).toEqual(deployments);
    expect(await textOf(server, "uploaded")).toBe("live");
  });
});

describe("versions list", () => {
  test("prints every version with author, source, tag and message, oldest first", async () => {
    const { project, old, young } = await seed("listed");
    const output = await succeed(project, "versions", "list");

    const [first = "", second = "", ...others] = output.split("\n\n").filter((block) => block.trim() !== "");
    expect(others).toEqual([]);
    const [young_, old_] = await versionsOf(server, "listed");
    expect(first).toContain(`Version ID:  ${old}`);
    expect(first).toContain(`Created:     ${old_.metadata.created_on}`);
    expect(first).toMatch(/Author: +\S+@\S+/);
    expect(first).toMatch(/Source: +Upload/);
    expect(first).toMatch(/Tag: +v1/);
    expect(first).toMatch(/Message: +the old one/);
    expect(second).toContain(`Version ID:  ${young}`);
    expect(second).toContain(`Created:     ${young_.metadata.created_on}`);
    expect(second).toMatch(/Tag: +v2/);
  });

  test("--json prints the API's answer, oldest first", async () => {
    const { project, old, young } = await seed("listed-json");
    const listed = JSON.parse(await succeed(project, "versions", "list", "--json"));
    expect(listed.map((version: { id: string }) => version.id)).toEqual([old, young]);
    expect(listed).toEqual((await versionsOf(server, "listed-json")).reverse());
  });
});

describe("versions view", () => {
  test("prints handlers, compatibility and bindings of that version, not of the latest", async () => {
    const { project, old, young } = await seed("viewed");

    const output = await succeed(project, "versions", "view", young);
    expect(output).toContain(`Version ID:  ${young}`);
    expect(output).toMatch(/Message: +the young one/);
    expect(output).toMatch(/Handlers: +fetch/);
    expect(output).toMatch(/Compatibility Date: +2026-11-17/);
    expect(output).toMatch(/Compatibility Flags: +nodejs_compat/);
    expect(output).toMatch(/env\.LIMIT \(\{"max":3\}\)/);

    const older = await succeed(project, "versions", "view", old);
    expect(older).toContain(`Version ID:  ${old}`);
    expect(older).not.toContain("env.LIMIT");
    expect(older).not.toContain("nodejs_compat");
  });

  test("--json prints the API's answer", async () => {
    const { project, old } = await seed("viewed-json");
    const viewed = JSON.parse(await succeed(project, "versions", "view", old, "--json"));
    expect(viewed).toEqual((await versionsOf(server, "viewed-json")).at(-1));
    expect(viewed).toMatchObject({ id: old, annotations: { "workers/tag": "v1" } });
  });

  test("of an id that the Worker does not have names the id and the command that lists them", async () => {
    const { project } = await seed("viewed-unknown");
    const output = await fail(project, "versions", "view", UNKNOWN_VERSION);
    expect(output).toContain(`The Worker "viewed-unknown" has no version ${UNKNOWN_VERSION}`);
    expect(output).toContain("wrangler versions list");
  });
});

describe("deployments list", () => {
  test("prints every deployment with its shares and their versions, oldest first", async () => {
    const { project, old, young } = await seed("deployments");
    const output = await succeed(project, "deployments", "list");

    const [first = "", second = ""] = output.split(/(?=^Created:)/m).filter((block) => block.trim() !== "");
    expect(first).toMatch(/Source: +Upload/);
    expect(first).toContain(`(100%) ${old}`);
    expect(first).not.toContain(young);
    expect(second).toMatch(/Author: +\S+@\S+/);
    expect(second).toMatch(/Message: +careful/);
    expect(second).toContain(`(60%) ${old}`);
    expect(second).toContain(`(40%) ${young}`);
    expect(second).toMatch(/Message: +the young one/);
  });

  test("--json prints the API's answer, oldest first", async () => {
    const { project } = await seed("deployments-json");
    const listed = JSON.parse(await succeed(project, "deployments", "list", "--json"));
    expect(listed).toHaveLength(2);
    expect(listed).toEqual((await deploymentsOf(server, "deployments-json")).reverse());
  });
});

describe("deployments status", () => {
  test("prints the active split and nothing of the deployments before", async () => {
    const { project, old, young } = await seed("status");
    const output = await succeed(project, "deployments", "status");
    expect(output).toMatch(/Message: +careful/);
    expect(output).toContain(`(60%) ${old}`);
    expect(output).toContain(`(40%) ${young}`);
    expect(output).not.toContain("(100%)");
  });

  test("--json prints the active deployment as the API shows it", async () => {
    const { project } = await seed("status-json");
    const status = JSON.parse(await succeed(project, "deployments", "status", "--json"));
    expect(status).toEqual((await deploymentsOf(server, "status-json"))[0]);
  });

  test("of a Worker that was only given a secret shows the draft that wrangler made, deployed", async () => {
    const project = await useProject(server, "drafted", { code: ENV_WORKER });
    const put = await project.wrangler(["secret", "put", "EARLY"], "bird");
    expect(put.code).toBe(0);
    const output = await succeed(project, "deployments", "status");
    expect(output).toContain(`(100%) ${(await versionsOf(server, "drafted"))[0].id}`);
    expect(output).toMatch(/Source: +Secret Change/);
  });
});

describe("a Worker that does not exist", () => {
  test.each([
    ["versions list", ["versions", "list"]],
    ["versions view", ["versions", "view", UNKNOWN_VERSION]],
    ["deployments list", ["deployments", "list"]],
    ["deployments status", ["deployments", "status"]],
  ])("is named by %s, which says how to create it and does not create it", async (_, args) => {
    const project = await useProject(server, "nobody");
    const output = await fail(project, ...args);
    expect(output).toContain('There is no Worker named "nobody". Create it with `wrangler deploy`');
    expect(output).toContain("[code: 10007]");
    expect((await server.api("GET", "/workers/services/nobody")).status).toBe(404);
  });
});
