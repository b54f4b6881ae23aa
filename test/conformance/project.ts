/** What the tests of this folder share: a project for a Worker, and what the server says about the Worker. */
import { expect, onTestFinished } from "vitest";
import { call } from "../support/client.ts";
import type { Server } from "../support/server.ts";
import { Project, type Run } from "../support/wrangler.ts";

export const COMPATIBILITY_DATE = "2026-11-17";
export const UNKNOWN_VERSION = "00000000-0000-4000-8000-000000000000";

const UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}";

export interface ProjectOptions {
  /** Keys of the wrangler configuration beside name, main and compatibility date. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Code of src/index.js. */
  readonly code?: string;
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

/** Code of a Worker that answers with the text. */
export function answer(text: string): string {
  return `export default { fetch: () => new Response(${JSON.stringify(text)}) };\n`;
}

/** Code of a Worker that answers with its `env` as JSON. */
export const ENV_WORKER = "export default { fetch: (request, env) => Response.json(env) };\n";

/** A project for one test. */
export async function useProject(
  server: Server,
  worker: string,
  options: ProjectOptions = {},
): Promise<Project> {
  const project = await Project.create(server, {
    "wrangler.json": configuration(worker, options.config),
    "src/index.js": options.code ?? answer(worker),
    ...options.files,
  });
  onTestFinished(() => project.dispose());
  return project;
}

/** Text of a wrangler.json. */
export function configuration(worker: string, config: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    name: worker,
    main: "src/index.js",
    compatibility_date: COMPATIBILITY_DATE,
    ...config,
  });
}

/** Runs a command that must succeed and print nothing that the server left out. Returns what it printed. */
export async function succeed(project: Project, ...args: readonly string[]): Promise<string> {
  return succeeded(await project.wrangler(args));
}

export function succeeded({ code, output }: Run): string {
  expect(output).not.toContain("[ERROR]");
  expect(output).not.toContain("undefined");
  expect({ code, output }).toEqual({ code: 0, output });
  return output;
}

/** Runs a command that must fail. Returns what it printed. */
export async function fail(project: Project, ...args: readonly string[]): Promise<string> {
  return failed(await project.wrangler(args));
}

export function failed({ code, output }: Run): string {
  expect({ code, output }).toEqual({ code: 1, output });
  expect(output).toContain("[ERROR]");
  return output;
}

/** The id that wrangler prints after some words, e.g. `Current Version ID: …`. */
export function idAfter(label: string, output: string): string {
  const id = new RegExp(`${label}:?\\s+(${UUID})`).exec(output)?.[1];
  if (id === undefined) throw new Error(`no ${label} in what wrangler printed:\n${output}`);
  return id;
}

// biome-ignore-start lint/suspicious/noExplicitAny: the API's own shapes are asserted by the tests that look at them
/** All versions, newest first. */
export async function versionsOf(server: Server, worker: string): Promise<any[]> {
  const reply = await call(server, "GET", `/workers/scripts/${worker}/versions`);
  expect(reply.errors).toEqual([]);
  return reply.result.items;
}

/** The deployments, newest first: the first one is active. */
export async function deploymentsOf(server: Server, worker: string): Promise<any[]> {
  const reply = await call(server, "GET", `/workers/scripts/${worker}/deployments`);
  expect(reply.errors).toEqual([]);
  return reply.result.deployments;
}
// biome-ignore-end lint/suspicious/noExplicitAny: see above

/** The active split as `[version id, percentage]`, in the order of the deployment. */
export async function activeSplit(server: Server, worker: string): Promise<[string, number][]> {
  const [active] = await deploymentsOf(server, worker);
  return active.versions.map((share: { version_id: string; percentage: number }) => [
    share.version_id,
    share.percentage,
  ]);
}

/** Runs something and checks that the Worker's versions, deployments and answer are as they were. */
export async function leavesAlone<T>(server: Server, worker: string, run: () => Promise<T>): Promise<T> {
  const look = async () => ({
    versions: await versionsOf(server, worker),
    deployments: await deploymentsOf(server, worker),
    answer: await textOf(server, worker),
  });
  const before = await look();
  const result = await run();
  expect(await look()).toEqual(before);
  return result;
}

/** What an end user gets. */
export async function textOf(
  server: Server,
  worker: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { status, body } = await server.traffic(worker, { headers: { ...headers } });
  expect({ status, body }).toEqual({ status: 200, body });
  return body;
}

/** That nobody is served under the Worker's name. */
export async function expectNotServed(server: Server, worker: string): Promise<void> {
  expect(await server.traffic(worker)).toMatchObject({
    status: 404,
    body: expect.stringContaining("There is no Worker at"),
  });
}
