/** One workerd process: started, restarted when it ends, drained. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import workerd from "workerd";
import type { Findings } from "../../versions/incident.ts";
import { UsageError } from "../data.ts";
import type { Level, Logger } from "../logger.ts";
import { backlogOf, DESCRIPTOR_LIMIT } from "./descriptors.ts";
import { LineSplitter, LogBudget, type Printed, readPrinted } from "./log-lines.ts";

/** First and longest pause before an ended process is restarted, in ms. */
const RESTART_MS = { first: 100, longest: 5_000 };
/** A process that ran at least this long, in ms, is restarted after the first pause again. */
const STABLE_MS = 10_000;
/** Pause between two lines that say how many lines of a process were dropped, in ms. */
const DROPPED_MS = 1_000;
/** How long a process may take to listen, in ms. */
const START_MS = 30_000;

/** A TCP port that a process listens on. */
export interface Port {
  /** The socket's name in the configuration. */
  readonly socket: string;
  readonly host: string;
  readonly port: number;
  /** Whether several processes listen on it: the kernel spreads connections over them. */
  readonly isShared: boolean;
}

export interface ProcessSpec {
  /** Names the process in logs and metrics. */
  readonly name: string;
  /** Path of its configuration, as text. */
  readonly config: string;
  readonly ports: readonly Port[];
  /** Paths of the Unix sockets that it listens on. */
  readonly sockets: readonly string[];
  /** Variables of its environment, at each start. */
  readonly environment?: () => Readonly<Record<string, string>>;
  /** Precedes each event that Sluice's own Worker logs. What has none is the text of the runtime or of a version. */
  readonly logKey: string;
}

interface ProcessEvents {
  /** The process has been spawned, for the first time or again. */
  readonly spawned: () => void;
  /** The process has ended, and will be restarted. */
  readonly ended: (why: Findings) => void;
  /** The process listens on all of its sockets. */
  readonly listening?: () => void;
  /** Sluice's own Worker has logged an event. @returns whether that was for the supervisor alone */
  readonly told?: (event: RuntimeEvent) => boolean;
}

/** An event in the process's output. */
export interface RuntimeEvent {
  readonly level: Level;
  readonly event: string;
  readonly [field: string]: unknown;
}

export class WorkerdProcess {
  readonly name: string;
  readonly #spec: ProcessSpec;
  readonly #logger: Logger;
  readonly #events: ProcessEvents;
  #child: ChildProcess | undefined;
  /** Resolves with the code and the signal of the last child once it has ended and its output was read. */
  #closed: Promise<(number | string | null)[]> = Promise.resolve([]);
  readonly #logBudget = new LogBudget();
  #droppedTimer: NodeJS.Timeout | undefined;
  #startedAt = 0;
  #isEnding = false;
  #isListening = false;

  constructor(spec: ProcessSpec, logger: Logger, events: ProcessEvents) {
    this.name = spec.name;
    this.#spec = spec;
    this.#logger = logger;
    this.#events = events;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Whether it listens on all of its sockets. */
  get isListening(): boolean {
    return this.#isListening;
  }

  /** Resolves once it listens on all of its sockets. Rejects if it ends before that, or a port is taken. */
  async start(): Promise<void> {
    const child = await this.#spawn();
    const listening = this.#listening(child);
    const ended = once(child, "exit").then(([code, signal]) => {
      throw new Error(`the process ${this.name} ended before it listened (${signal ?? code})`);
    });
    // One of the two is left behind when the other settles.
    ended.catch(() => {});
    await Promise.race([listening, ended]);
    void this.#keep(RESTART_MS.first);
  }

  /** Stops listening and lets requests finish. Resolves once the process has ended. */
  async drain(): Promise<void> {
    this.#isEnding = true;
    const child = this.#child;
    if (child === undefined || hasEnded(child)) return;
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    await exit;
  }

  /** Ends the process at once. It is restarted unless it drains. */
  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  /** Ends the process at once, for good. */
  end(): void {
    this.#isEnding = true;
    this.kill();
  }

  async #spawn(): Promise<ChildProcess> {
    const { config, ports, sockets, environment } = this.#spec;
    const listeners: Server[] = [];
    for (const port of ports) listeners.push(await listen(port));
    // A process that was killed leaves its sockets behind, and the next one could not listen.
    for (const socket of sockets) rmSync(socket, { force: true });
    const descriptors = ports.map(({ socket }, i) => `--socket-fd=${socket}=${FIRST_DESCRIPTOR + i}`);
    const child = spawn(
      workerd.default,
      // Worker Loader needs the flag.
      ["serve", "--experimental", `--control-fd=${CONTROL_DESCRIPTOR}`, ...descriptors, config],
      {
        stdio: ["ignore", "pipe", "pipe", "pipe", ...listeners.map(descriptorOf)],
        env: { ...process.env, ...environment?.(), TZ: "UTC" },
        // Ctrl-C goes to the terminal's whole group. The supervisor ends this process when its requests have finished.
        detached: true,
      },
    );
    // The process has its own copies of the sockets. These must not accept connections.
    for (const listener of listeners) listener.close();
    for (const stream of [child.stdout, child.stderr]) {
      const lines = new LineSplitter();
      stream?.on("data", (chunk: Buffer) => this.#logChunk(lines, chunk));
      // Its last line may have no end.
      stream?.on("end", () => this.#logChunk(lines, Buffer.from("\n")));
    }
    this.#child = child;
    this.#closed = once(child, "close");
    // Where it cannot be spawned, the caller hears of it.
    this.#closed.catch(() => {});
    this.#startedAt = Date.now();
    const { promise, resolve, reject } = Promise.withResolvers<ChildProcess>();
    child.once("spawn", () => {
      this.#events.spawned();
      resolve(child);
    });
    child.once("error", reject);
    return promise;
  }

  /** workerd reports each socket on its control descriptor, as a line of JSON. */
  #listening(child: ChildProcess): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let missing = this.#spec.ports.length + this.#spec.sockets.length;
    const late = setTimeout(
      () => reject(new Error(`the process ${this.name} does not listen after ${START_MS} ms`)),
      START_MS,
    );
    createInterface(child.stdio[CONTROL_DESCRIPTOR] as NodeJS.ReadableStream).on("line", () => {
      missing--;
      if (missing > 0) return;
      clearTimeout(late);
      this.#isListening = true;
      this.#events.listening?.();
      resolve();
    });
    child.once("exit", () => clearTimeout(late));
    return promise;
  }

  /** Waits for the end of the process, and restarts it. @param pause in ms */
  async #keep(pause: number): Promise<void> {
    // Not at its exit: what it has printed by then is still to be read, and says what it was doing.
    const [code, signal] = (await this.#closed) as [number | null, string | null];
    this.#isListening = false;
    if (this.#isEnding) return;
    this.#events.ended({ code, signal });
    let wait = Date.now() - this.#startedAt > STABLE_MS ? RESTART_MS.first : pause;
    while (!this.#isEnding) {
      await sleep(wait);
      wait = Math.min(wait * 2, RESTART_MS.longest);
      if (this.#isEnding) return;
      try {
        const next = await this.#spawn();
        // The watchdog watches only processes that listen. One that never does is ended here, and restarted.
        this.#listening(next).catch(() => next.kill("SIGKILL"));
        // It may have been told to end meanwhile.
        if (this.#isEnding) next.kill("SIGKILL");
        else void this.#keep(wait);
        return;
      } catch (error) {
        this.#logger.log("error", "process-not-started", { process: this.name, why: String(error) });
      }
    }
  }

  #logChunk(lines: LineSplitter, chunk: Buffer): void {
    for (const line of lines.push(chunk)) {
      if (line.text === "") continue;
      // Sluice's own events are few, and the supervisor needs them.
      if (line.text.includes(this.#spec.logKey) || this.#logBudget.allows(line.bytes, Date.now()))
        this.#logPrinted(readPrinted(line));
      else this.#droppedTimer ??= setTimeout(() => this.#logDropped(), DROPPED_MS);
    }
  }

  #logPrinted({ level, message }: Printed): void {
    const { logKey } = this.#spec;
    const event = message.startsWith(logKey) ? readEvent(message.slice(logKey.length)) : undefined;
    if (event === undefined) this.#logger.fromRuntime(level, message);
    else if (this.#events.told?.(event) !== true) {
      const { level: importance, event: name, ...fields } = event;
      this.#logger.log(importance, name, fields);
    }
  }

  #logDropped(): void {
    this.#droppedTimer = undefined;
    const lines = this.#logBudget.takeDropped();
    this.#logger.log("warn", "log-lines-dropped", { process: this.name, lines });
  }
}

/** @returns undefined if the text is no event */
function readEvent(text: string): RuntimeEvent | undefined {
  try {
    const event: RuntimeEvent = JSON.parse(text);
    return typeof event.event === "string" ? event : undefined;
  } catch {
    return undefined;
  }
}

/** Where the process writes that it listens. Its inherited sockets come after. */
const CONTROL_DESCRIPTOR = 3;
const FIRST_DESCRIPTOR = CONTROL_DESCRIPTOR + 1;

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Opens a listening socket for one process. */
function listen({ host, port, isShared, socket }: Port): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      const reasons: Readonly<Record<string, string>> = {
        ENOTSUP: "this system cannot share a port between processes",
        EADDRINUSE: "another program uses this port",
      };
      const why = reasons[error.code ?? ""] ?? error.message;
      reject(
        new UsageError(
          `Cannot listen on ${host}:${port}: ${why}. Choose another port with --${socket}-port.`,
        ),
      );
    });
    server.listen({ host, port, reusePort: isShared, backlog: backlogOf(DESCRIPTOR_LIMIT) }, () =>
      resolve(server),
    );
  });
}

/** The socket's file descriptor, for which Node has no public API. */
function descriptorOf(server: Server): number {
  return (server as unknown as { readonly _handle: { readonly fd: number } })._handle.fd;
}
