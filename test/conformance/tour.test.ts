/** The commands one after the other, and everything that wrangler asked for on the way. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { disposeServer, type Server, startServer } from "../support/server.ts";
import { idAfter, succeeded, useProject } from "./project.ts";
import { useRecorder } from "./recorder.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

test("a tour of the commands asks for nothing that the server does not have", async () => {
  const project = await useProject(server, "tour", { config: { vars: { A: "a" } } });
  const recorder = await useRecorder(server);
  const run = async (...args: string[]) => succeeded(await project.wrangler(args, "value", recorder.env));

  const first = idAfter("Current Version ID", await run("deploy"));
  const second = idAfter("Worker Version ID", await run("versions", "upload"));
  await run("versions", "deploy", `${first}@50`, `${second}@50`);
  await run("deploy");
  await run("secret", "put", "S");
  await run("versions", "secret", "put", "T");
  await run("versions", "secret", "list");
  await run("deployments", "list");
  await run("rollback");
  await run("triggers", "deploy");
  await run("whoami");
  await run("delete");

  const { exchanges } = recorder;
  expect(exchanges.length).toBeGreaterThan(40);
  const unknown = exchanges.filter(({ received }) => received.includes('"code":7003'));
  expect(unknown.map(({ method, path }) => `${method} ${path}`)).toEqual([]);
  expect(exchanges.filter(({ status }) => status >= 500)).toEqual([]);
});
