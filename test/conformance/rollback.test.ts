/** `wrangler rollback`. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, call, createDeployment, deploy, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer } from "../support/server.ts";
import {
  activeSplit,
  answer,
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

describe("past changed secrets", () => {
  /** Three versions: without the secret, with it, and with another value of it. */
  async function seed(worker: string): Promise<[string, string, string]> {
    const secret = (text: string) => ({
      ...answering(text),
      metadata: { bindings: [{ type: "secret_text", name: "KEY", text }] },
    });
    const none = await deploy(server, worker, answering("none"));
    return [none, await deploy(server, worker, secret("old")), await deploy(server, worker, secret("new"))];
  }

  test("it asks in a terminal, naming them, and no means that nothing happens", async () => {
    const [, old] = await seed("asked");
    const project = await useProject(server, "asked");
    const output = await leavesAlone(server, "asked", async () => {
      const terminal = project.terminal(["rollback", old]);
      await terminal.answer("provide an optional message", "\r");
      await terminal.answer("Are you sure you want to deploy", "y");
      await terminal.answer("KEY", "n");
      return (await terminal.end()).output;
    });
    expect(output).toContain("KEY");
  });

  test("it goes ahead without a terminal, and brings back the version's own secrets", async () => {
    const [none, old] = await seed("forced");
    const project = await useProject(server, "forced");
    expect(await succeed(project, "rollback", old)).toContain(
      `Worker Version ${old} has been deployed to 100%`,
    );
    expect(await activeSplit(server, "forced")).toEqual([[old, 100]]);
    await succeed(project, "rollback", none);
    expect(await textOf(server, "forced")).toBe("none");
  });

  test("the API refuses it with code 10220 and every name, unless it is forced", async () => {
    const [none, old] = await seed("refused");
    for (const id of [none, old]) {
      const reply = await leavesAlone(server, "refused", () =>
        createDeployment(server, "refused", [[id, 100]]),
      );
      expect([reply.status, reply.errors[0]?.code]).toEqual([400, 10220]);
      expect(reply.errors[0]?.message).toMatch(/The following secrets have changed: KEY$/);
    }
    const body = { strategy: "percentage", versions: [{ version_id: old, percentage: 100 }] };
    const forced = await call(server, "POST", "/workers/scripts/refused/deployments?force=true", body);
    expect(forced.errors).toEqual([]);
    // To a split, and to what is newer, nothing is lost without a word.
    expect(
      (
        await createDeployment(server, "refused", [
          [none, 50],
          [old, 50],
        ])
      ).errors,
    ).toEqual([]);
  });
});

describe("a split that is protected", () => {
  // Both answer the same: who has no key gets either.
  async function seed(worker: string): Promise<[string, string]> {
    const stable = await deploy(server, worker, answering("steady"));
    const candidate = await uploadVersion(server, worker, answering("steady"));
    await createDeployment(server, worker, [
      [stable, 90],
      [candidate, 10],
    ]);
    await call(server, "PATCH", `/workers/scripts/${worker}/options`, { protect: true });
    return [stable, candidate];
  }

  test("is not replaced by wrangler deploy, whose error says what else to do", async () => {
    const [stable, candidate] = await seed("guarded");
    const project = await useProject(server, "guarded", { code: answer("hasty") });
    const output = await fail(project, "deploy");
    for (const said of [
      stable,
      candidate,
      "90%",
      "wrangler versions deploy",
      "wrangler rollback",
      "sluice protect guarded off",
    ]) {
      expect(output).toContain(said);
    }
    expect(await activeSplit(server, "guarded")).toEqual([
      [stable, 90],
      [candidate, 10],
    ]);
    // What could not be deployed is there, to be deployed later.
    expect(await versionsOf(server, "guarded")).toHaveLength(3);
  });

  test("is not replaced by a deploy that brings a migration either, and nothing of that is kept", async () => {
    await seed("migrating");
    const classes = {
      durable_objects: { bindings: [{ name: "ROOM", class_name: "Room" }] },
      migrations: [{ tag: "v1", new_sqlite_classes: ["Room"] }],
    };
    const code = `import { DurableObject } from "cloudflare:workers";\nexport class Room extends DurableObject {}\n${answer("hasty")}`;
    const project = await useProject(server, "migrating", { config: classes, code });
    await leavesAlone(server, "migrating", () => fail(project, "deploy"));
  });

  test("goes further, ends with one of its two, and is rolled back, as ever", async () => {
    const [stable, candidate] = await seed("moving");
    const project = await useProject(server, "moving", { code: answer("next") });
    await succeed(project, "versions", "deploy", `${stable}@50%`, `${candidate}@50%`, "-y");
    await succeed(project, "rollback");
    expect(await activeSplit(server, "moving")).toEqual([[stable, 100]]);
    await succeed(project, "versions", "deploy", `${stable}@50%`, `${candidate}@50%`, "-y");
    await succeed(project, "versions", "deploy", `${candidate}@100%`, "-y");
    // There is no split to protect any more.
    await succeed(project, "deploy");
    expect(await textOf(server, "moving")).toBe("next");
  });

  test("is replaced once the protection is lifted", async () => {
    await seed("lifted");
    const project = await useProject(server, "lifted", { code: answer("next") });
    await fail(project, "deploy");
    await call(server, "PATCH", "/workers/scripts/lifted/options", { protect: false });
    await succeed(project, "deploy");
    expect(await textOf(server, "lifted")).toBe("next");
  });
});
