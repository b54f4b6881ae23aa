/** `wrangler tail`. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { answering, call, createDeployment, deploy, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, useServer, waitUntil } from "../support/server.ts";
import { type Project, WRANGLER } from "../support/wrangler.ts";
import { fail, useProject } from "./project.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer({ args: ["--address-header", "X-Real-IP"] });
});
afterAll(() => disposeServer(server));

/** A tail that runs until its test is done. */
class Tail {
  readonly process: ChildProcess;
  output = "";

  constructor(project: Project, args: readonly string[]) {
    this.process = spawn(process.execPath, [...WRANGLER, "tail", ...args], {
      cwd: project.folder,
      env: { ...project.env, CI: "true" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.on("data", (chunk) => {
        this.output += chunk;
      });
    }
    onTestFinished(async () => {
      if (this.process.exitCode !== null || this.process.signalCode !== null) return;
      const exited = once(this.process, "exit");
      this.process.kill("SIGKILL");
      await exited;
    });
  }

  /** The events that were shown, as wrangler prints them: objects over several lines. */
  get events(): Record<string, never>[] {
    return this.output
      .split(/^(?=\{$)/m)
      .filter((text) => /^\{$[\s\S]*^\}$/m.test(text))
      .map((text) => JSON.parse(text));
  }

  get urls(): string[] {
    return this.events.map(
      ({ event }) => new URL((event as unknown as { request: { url: string } }).request.url).pathname,
    );
  }
}

const CODE = `export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  console.log("asked for", pathname, { deep: [1, 2] });
  console.warn("careful");
  if (pathname === "/boom") throw new TypeError("it broke");
  return new Response(pathname, { status: pathname === "/teapot" ? 418 : 200 });
} };`;
const upload = { modules: { "index.js": { content: CODE } } };

/** A tail that is connected: the first event that it shows is the one that was asked for here. */
async function tailing(
  worker: string,
  args: readonly string[],
  reach: () => Promise<unknown>,
  at = server,
): Promise<Tail> {
  const project = await useProject(at, worker);
  const tail = new Tail(project, [worker, "--format", "json", ...args]);
  await waitUntil(async () => {
    await reach();
    return tail.events.length > 0;
  });
  return tail;
}

describe("tail", () => {
  test("shows requests, their logs, exceptions and versions, in JSON", async () => {
    const version = await deploy(server, "watched", upload);
    const tail = await tailing("watched", [], () => server.traffic("watched", { path: "/first" }));
    await server.traffic("watched", {
      path: "/boom",
      method: "POST",
      headers: { "X-Test": "yes", Cookie: "secret=1" },
    });
    await waitUntil(() => tail.urls.includes("/boom"));
    const event = tail.events.find(({ outcome }) => outcome === "exception");
    expect(event).toMatchObject({
      outcome: "exception",
      scriptName: "watched",
      scriptVersion: { id: version },
      eventTimestamp: expect.any(Number),
      event: { request: { method: "POST", headers: { "x-test": "yes", cookie: "REDACTED" } } },
      logs: [
        { message: ["asked for", "/boom", { deep: [1, 2] }], level: "log", timestamp: expect.any(Number) },
        { message: ["careful"], level: "warn", timestamp: expect.any(Number) },
      ],
      exceptions: [{ name: "TypeError", message: "it broke", timestamp: expect.any(Number) }],
    });
    expect(tail.output).not.toContain("__sluice");
  });

  test("shows the same for people", async () => {
    await deploy(server, "pretty", upload);
    const project = await useProject(server, "pretty");
    const tail = new Tail(project, ["pretty", "--format", "pretty"]);
    await waitUntil(async () => {
      await server.traffic("pretty", { path: "/boom" });
      return tail.output.includes("it broke");
    });
    expect(tail.output).toMatch(/GET http:\/\/pretty\.localhost(:\d+)?\/boom - Exception Thrown/);
    expect(tail.output).toContain("(log) asked for /boom");
    expect(tail.output).toContain("(warn) careful");
  });

  test.each([
    ["--status", ["--status", "error"], "/boom", "/teapot", {}],
    ["--method", ["--method", "PUT"], "/put", "/get", { method: "PUT" }],
    ["--header", ["--header", "X-User:ann"], "/anna", "/nobody", { headers: { "X-User": "anna" } }],
    ["--search", ["--search", "/needle"], "/needle", "/hay", {}],
    ["--ip", ["--ip", "192.0.2.7"], "/theirs", "/others", { headers: { "X-Real-IP": "192.0.2.7" } }],
  ] as const)("with %s shows only that", async (name, args, yes, no, how) => {
    const worker = `filter-${name.slice(2)}`;
    await deploy(server, worker, upload);
    const tail = await tailing(worker, args, async () => {
      await server.traffic(worker, { path: no });
      await server.traffic(worker, { path: yes, ...how });
    });
    expect(new Set(tail.urls)).toEqual(new Set([yes]));
  });

  test("with --version-id shows that version of a split only", async () => {
    const stable = await deploy(server, "halves", upload);
    const candidate = await uploadVersion(server, "halves", upload);
    await createDeployment(server, "halves", [
      [stable, 50],
      [candidate, 50],
    ]);
    const tail = await tailing("halves", ["--version-id", candidate], async () => {
      for (const [path, id] of [
        ["/stable", stable],
        ["/candidate", candidate],
      ] as const) {
        const headers = { "Cloudflare-Workers-Version-Overrides": `halves="${id}"` };
        await server.traffic("halves", { path, headers });
      }
    });
    expect(new Set(tail.urls)).toEqual(new Set(["/candidate"]));
  });

  test("with --sampling-rate shows some of many", async () => {
    await deploy(server, "sampled", upload);
    let asked = 0;
    const tail = await tailing("sampled", ["--sampling-rate", "0.1"], async () => {
      for (let i = 0; i < 50; i++) await server.traffic("sampled", { path: `/${asked++}` });
    });
    const before = asked;
    for (let i = 0; i < 100; i++) await server.traffic("sampled", { path: `/${asked++}` });
    expect(tail.urls.length).toBeLessThan(before / 2 + 50);
  });

  test("shows the requests of two traffic processes, and continues through deployments", async () => {
    const several = await useServer({ args: ["--processes", "2"] });
    await deploy(several, "wide", upload);
    const tail = await tailing("wide", [], () => several.traffic("wide", { path: "/first" }), several);
    for (let i = 0; i < 12; i++) await several.traffic("wide", { path: `/wide-${i}` });
    await waitUntil(() => tail.urls.filter((path) => path.startsWith("/wide")).length === 12);
    await deploy(several, "wide", upload);
    for (let i = 0; i < 12; i++) await several.traffic("wide", { path: `/again-${i}` });
    await waitUntil(() => tail.urls.filter((path) => path.startsWith("/again")).length === 12);
    // A process that was not there when the tail began.
    const { traffic_pids } = JSON.parse(await readFile(join(several.dataDir, "server.json"), "utf8"));
    for (const pid of traffic_pids) process.kill(pid, "SIGKILL");
    await waitUntil(async () => {
      await several.traffic("wide", { path: "/after" }).catch(() => {});
      return tail.urls.includes("/after");
    });
  });

  test("costs no client a request when it starts and ends, and keeps what a version has in memory", async () => {
    const counting = "let n = 0; export default { fetch: () => new Response(String(++n)) };";
    await deploy(server, "memory", { modules: { "index.js": { content: counting } } });
    for (let i = 1; i <= 5; i++) expect((await server.traffic("memory")).body).toBe(String(i));
    const tail = await tailing("memory", [], () => server.traffic("memory"));
    const ended = new Promise((resolve) => tail.process.once("exit", resolve));
    tail.process.kill("SIGTERM");
    await ended;
    await waitUntil(async () => {
      const answer = await server.traffic("memory");
      expect(answer.status).toBe(200);
      return Number(answer.body) >= 6;
    });
    await waitUntil(() => server.output.includes("version-unloaded"));
    expect(Number((await server.traffic("memory")).body)).toBeGreaterThanOrEqual(7);
  });

  test("of a Worker that does not exist is refused, and so is a connection to a tail that does not exist", async () => {
    const project = await useProject(server, "nobody");
    expect(await fail(project, "tail", "nobody")).toContain('There is no Worker named "nobody"');
    for (const token of ["00000000-0000-4000-8000-000000000000", "a.b.c"]) {
      expect((await fetch(`${server.control}/tail/${token}`)).status).toBe(404);
    }
    await deploy(server, "quiet", answering("quiet"));
    const gone = await call(server, "DELETE", "/workers/scripts/quiet/tails/none");
    expect(gone.status).toBe(404);
  });
});
