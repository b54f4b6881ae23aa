/** `wrangler rollback`. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { answering, createDeployment, deploy, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer } from "../support/server.ts";
import {
  activeSplit,
  deploymentsOf,
  fail,
  idAfter,
  leavesAlone,
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

test("without an id it goes back to the last version that served everybody", async () => {
  const good = await deploy(server, "back", answering("good"));
  const bad = await deploy(server, "back", answering("bad"));
  const project = await useProject(server, "back");

  const output = await succeed(project, "rollback");

  expect(output).toContain(`(100%) ${bad}`);
  expect(output).toContain(`You are about to rollback to Worker Version ${good}`);
  expect(output).toContain(`Worker Version ${good} has been deployed to 100% of traffic.`);
  expect(idAfter("Current Version ID", output)).toBe(good);
  expect(await textOf(server, "back")).toBe("good");
  expect(await activeSplit(server, "back")).toEqual([[good, 100]]);
  const deployments = await deploymentsOf(server, "back");
  expect(deployments).toHaveLength(3);
  expect(deployments[0].annotations["workers/message"]).toBe("Rollback");
  expect(await versionsOf(server, "back"), "a rollback makes no version").toHaveLength(2);
});

test("with an id and -m it goes to that version and keeps the message", async () => {
  const oldest = await deploy(server, "back-to", answering("oldest"));
  await deploy(server, "back-to", answering("older"));
  await deploy(server, "back-to", answering("newest"));
  const project = await useProject(server, "back-to");

  const output = await succeed(project, "rollback", oldest, "-m", "the fix was worse");

  expect(output).toContain(`Worker Version ${oldest} has been deployed to 100% of traffic.`);
  expect(await textOf(server, "back-to")).toBe("oldest");
  const [active] = await deploymentsOf(server, "back-to");
  expect(active.annotations["workers/message"]).toBe("the fix was worse");
});

test("after a ramp of twelve steps it still finds the version from before the ramp", async () => {
  const stable = await deploy(server, "ramped", answering("stable"));
  const candidate = await uploadVersion(server, "ramped", answering("candidate"));
  for (const percentage of [1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 75, 90]) {
    const reply = await createDeployment(server, "ramped", [
      [stable, 100 - percentage],
      [candidate, percentage],
    ]);
    expect(reply.errors).toEqual([]);
  }
  const project = await useProject(server, "ramped");

  const output = await succeed(project, "rollback");

  expect(output).toContain(`(90%) ${candidate}`);
  expect(output).toContain(`Worker Version ${stable} has been deployed to 100% of traffic.`);
  expect(await activeSplit(server, "ramped")).toEqual([[stable, 100]]);
  for (let i = 0; i < 50; i++) {
    const key = { "Cloudflare-Workers-Version-Key": `user-${i}` };
    expect(await textOf(server, "ramped", key)).toBe("stable");
  }
});

test("with nothing to go back to it says so and changes nothing", async () => {
  await deploy(server, "only", answering("only"));
  const project = await useProject(server, "only");
  const output = await leavesAlone(server, "only", () => fail(project, "rollback"));
  expect(output).toContain("Could not find stable Worker Version to rollback to");
});

test("an id that the Worker does not have is refused by name, and nothing changes", async () => {
  await deploy(server, "back-unknown", answering("one"));
  await deploy(server, "back-unknown", answering("two"));
  const project = await useProject(server, "back-unknown");
  const output = await leavesAlone(server, "back-unknown", () => fail(project, "rollback", UNKNOWN_VERSION));
  expect(output).toContain(`has no version ${UNKNOWN_VERSION}`);
});

test("of a Worker that does not exist names the Worker", async () => {
  const project = await useProject(server, "back-nobody");
  expect(await fail(project, "rollback")).toContain('There is no Worker named "back-nobody"');
});
