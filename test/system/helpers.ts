/** What several files of this folder need beside the harness. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { call, type Reply, type Upload } from "../support/client.ts";
import { cleanEnv, ROOT, type Server } from "../support/server.ts";

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `sluice …` to its end, without the SLUICE_ variables of whoever runs the tests. */
export function runSluice(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  const child = spawn(process.execPath, [join(ROOT, "bin/sluice.js"), ...args], {
    cwd: ROOT,
    env: {
      ...cleanEnv(),
      WRANGLER_SEND_METRICS: "false",
      NO_COLOR: "1",
      FORCE_COLOR: "0",
      CI: "true",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A body in pieces. */
type Chunks = Generator<Buffer> | AsyncGenerator<Buffer>;

export interface RawRequest {
  readonly port: number;
  readonly host?: string;
  readonly method?: string;
  /** Goes into the request line as it is. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** A Buffer goes with Content-Length, anything else in chunks. */
  readonly body?: Buffer | Chunks;
}

/** One request on a connection of its own. Stops sending as soon as the answer is complete. */
export function send(raw: RawRequest): Promise<RawAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<RawAnswer>();
  let answered = false;
  const outgoing = request({
    host: "127.0.0.1",
    port: raw.port,
    method: raw.method ?? "GET",
    path: raw.path ?? "/",
    headers: {
      ...raw.headers,
      ...(raw.host === undefined ? {} : { Host: raw.host }),
      // Node sends no length by itself where the method seldom has a body.
      ...(Buffer.isBuffer(raw.body) ? { "Content-Length": String(raw.body.length) } : {}),
    },
    agent: false,
  });
  outgoing.on("response", (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.on("error", reject);
    response.on("end", () => {
      answered = true;
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: Buffer.concat(chunks),
      });
      if (!outgoing.writableEnded) outgoing.destroy();
    });
  });
  outgoing.on("error", (error) => {
    if (!answered) reject(error);
  });
  const pump = async (chunks: Chunks) => {
    for await (const chunk of chunks) {
      if (answered || outgoing.destroyed) return;
      if (!outgoing.write(chunk)) {
        await new Promise<void>((next) => {
          const go = () => {
            outgoing.off("drain", go);
            outgoing.off("close", go);
            next();
          };
          outgoing.on("drain", go);
          outgoing.on("close", go);
        });
      }
    }
    outgoing.end();
  };
  if (raw.body === undefined || Buffer.isBuffer(raw.body)) outgoing.end(raw.body);
  else void pump(raw.body);
  return promise;
}

/** How long a client waits for `100 Continue` before it sends the body all the same, in ms. */
const CONTINUE_WAIT_MS = 500;

/**
 * Sends a request as a careful client does, with `Expect: 100-continue`: the server may answer before it has read the
 * body, and close. The body goes in chunks where `headers` say so.
 */
export async function sendCarefully(
  port: number,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: Iterable<Buffer>,
): Promise<Response> {
  const socket = connect(port, "127.0.0.1");
  let received = Buffer.alloc(0);
  const { promise: answer, resolve, reject } = Promise.withResolvers<Response>();
  const { promise: goOn, resolve: proceed } = Promise.withResolvers<void>();
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    if (received.toString("latin1").startsWith("HTTP/1.1 100 ")) {
      received = received.subarray(received.indexOf("\r\n\r\n") + 4);
      proceed();
    }
    const text = received.toString("latin1");
    const headEnd = text.indexOf("\r\n\r\n") + 4;
    const length = /^content-length: (\d+)/im.exec(text.slice(0, headEnd))?.[1];
    if (headEnd === 3 || length === undefined || text.length < headEnd + Number(length)) return;
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
    resolve(new Response(received.subarray(headEnd), { status }));
    socket.destroy();
  });
  // Writing may fail once the answer is there; without one, the end of the connection says so.
  socket.on("error", () => {});
  socket.on("close", () => reject(new Error(`no answer; received: ${received}`)));

  const sent = { Host: `127.0.0.1:${port}`, Expect: "100-continue", ...headers };
  const lines = Object.entries(sent).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  await Promise.race([answer, goOn, sleep(CONTINUE_WAIT_MS)]);

  const chunked = headers["Transfer-Encoding"] === "chunked";
  for (const chunk of body) {
    if (!socket.writable) break;
    const size = Buffer.from(`${chunk.length.toString(16)}\r\n`);
    const framed = chunked ? Buffer.concat([size, chunk, Buffer.from("\r\n")]) : chunk;
    if (!socket.write(framed)) await Promise.race([once(socket, "drain"), once(socket, "close")]);
  }
  if (chunked && socket.writable) socket.write("0\r\n\r\n");
  return answer;
}

/** A POST whose body goes on: its answer has begun after the first piece. */
export async function beginPost(
  server: Server,
  worker: string,
  first: string,
): Promise<{ outgoing: ClientRequest; response: IncomingMessage }> {
  const outgoing = request({
    host: "127.0.0.1",
    port: server.trafficPort,
    method: "POST",
    headers: { Host: `${worker}.localhost` },
    agent: false,
  });
  // A failed test ends its server, and so this.
  outgoing.on("error", () => {});
  outgoing.write(first);
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  return { outgoing, response };
}

/** A Worker whose answer is the id of its version, from its own version metadata. */
export const NAMING_ITSELF: Upload = {
  modules: {
    "index.js": { content: "export default { fetch: (request, env) => new Response(env.VERSION.id) };" },
  },
  metadata: { bindings: [{ type: "version_metadata", name: "VERSION" }] },
};

export function keys(count: number, prefix = "key"): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}-${i}`);
}

/** What each key is answered, asked eight at a time. */
export async function answersFor(
  server: Server,
  worker: string,
  asked: readonly string[],
): Promise<Map<string, string>> {
  const answers = new Map<string, string>();
  await inParallel(8, asked, async (key) => {
    const answer = await server.traffic(worker, { headers: { "Cloudflare-Workers-Version-Key": key } });
    answers.set(key, answer.status === 200 ? answer.body : `${answer.status} ${answer.body}`);
  });
  return new Map(asked.map((key) => [key, answers.get(key) as string]));
}

/** Runs `work` over all items, `width` at a time. */
export async function inParallel<T>(
  width: number,
  items: Iterable<T>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  let next = 0;
  const lane = async () => {
    while (next < queue.length) await work(queue[next++] as T);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

export async function versionsOf(server: Server, worker: string): Promise<Reply["result"][]> {
  const reply = await call(server, "GET", `/workers/scripts/${worker}/versions`);
  return reply.result.items;
}

export async function deploymentsOf(server: Server, worker: string): Promise<Reply["result"][]> {
  const reply = await call(server, "GET", `/workers/scripts/${worker}/deployments`);
  return reply.result.deployments;
}

/** Seed of this run: another one each time, unless SLUICE_TEST_SEED says which. */
export const SEED = Number(process.env.SLUICE_TEST_SEED ?? Date.now() % 1_000_000);

/** The id of the process that serves. */
export async function runtimePid(server: Server): Promise<number> {
  return JSON.parse(await readFile(join(server.dataDir, "server.json"), "utf8")).runtime_pid;
}

/** Processes that the server has started: the runtime, and the one that starts uploads. */
export function childrenOf(server: Server): number[] {
  const table = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
  const rows = table.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  return rows.flatMap(([pid, parent]) => (parent === server.process.pid && pid !== undefined ? [pid] : []));
}

export function commandOf(pid: number): string {
  return execFileSync("ps", ["-p", String(pid), "-o", "command="], { encoding: "utf8" }).trim();
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Ends processes that a killed server left behind, so that a failed test leaves none. */
export function sweep(pids: Iterable<number>): void {
  for (const pid of pids) if (isAlive(pid)) process.kill(pid, "SIGKILL");
}

/** What the server has logged of one kind. */
export function logged(server: Server, event: string): Readonly<Record<string, unknown>>[] {
  // The last line may be on its way still.
  const lines = server.output.split("\n").slice(0, -1);
  return lines
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line))
    .filter((entry) => entry.event === event);
}
