/**
 * The control process: workerd, run by Miniflare with a direct socket for each side. This way Sluice uses Miniflare's
 * storage at workerd's own speed. Nothing uses Miniflare's entry port on loopback.
 */
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare, Response } from "miniflare";
import { loadBundle } from "./bundle.ts";
import type { ServeConfig } from "./config.ts";
import type { Logger } from "./logger.ts";
import { watchSpawns, whenSpawned } from "./spawns.ts";
import type { Validator } from "./validator.ts";
import type { Followers } from "./workerd.ts";
import { COMPATIBILITY_DATE, DRAIN_MS, trafficBindings, V8_FLAGS } from "./workerd.ts";

interface RuntimeEvents {
  /** The process has started, for the first time or after a crash. */
  readonly started: (pid: number) => void;
  /** The process has ended because of `drain`. */
  readonly drained: () => void;
}

interface RuntimeOptions {
  readonly config: ServeConfig;
  readonly token: string;
  /** Folder for databases and files. */
  readonly storage: string;
  readonly validator: Validator;
  readonly logger: Logger;
  /** The processes that serve traffic; undefined if this process does. */
  readonly followers: Followers | undefined;
}

export class Runtime {
  #miniflare: Miniflare | undefined;
  #process: ChildProcess | undefined;
  #draining = false;
  readonly #events: RuntimeEvents;
  /** Paths of the Unix sockets that the process listens on. */
  readonly #sockets: readonly string[];

  private constructor(events: RuntimeEvents, sockets: readonly string[]) {
    this.#events = events;
    this.#sockets = sockets;
  }

  /**
   * Resolves once its listeners accept: those of both sides, or without traffic those of the control side and the replica.
   */
  static async start(
    { config, token, storage, validator, logger, followers }: RuntimeOptions,
    events: RuntimeEvents,
  ): Promise<Runtime> {
    // Miniflare reads V8's flags from this variable only.
    process.env.MINIFLARE_WORKERD_V8_FLAGS ??= V8_FLAGS.join(" ");
    const { modules, build } = await loadBundle("sluice");
    const options = convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      cf: false,
      log: new RuntimeLog(logger),
      handleStructuredLogs: ({ level, message }) => logger.fromRuntime(level, message),
      resourcePersistencePath: storage,
      name: "sluice",
      modules,
      compatibilityDate: COMPATIBILITY_DATE,
      kvNamespaces: { SLUICE_KV: "sluice", SLUICE_DATA: "data" },
      r2Buckets: { SLUICE_BUCKET: "buckets" },
      durableObjects: {
        REGISTRY: { className: "WorkerRegistry", useSQLite: true },
        ACCOUNT: { className: "AccountRegistry", useSQLite: true },
        DATABASES: { className: "Database", useSQLite: true },
        DATASETS: { className: "Dataset", useSQLite: true },
        CRONS: { className: "Scheduler", useSQLite: true },
        TAILS: { className: "TailHub", useSQLite: true },
        METRICS: { className: "Metrics", useSQLite: true },
        QUEUES: { className: "QueueBroker", useSQLite: true },
        OBJECTS: { className: "ObjectHost", useSQLite: true },
      },
      workerLoaders: { LOADER: {} },
      serviceBindings: {
        ...Object.fromEntries(
          Object.entries(followers?.addresses ?? {}).map(([name, address]) => [
            name,
            { external: { address, http: {} } },
          ]),
        ),
        VALIDATOR: async (request: { arrayBuffer(): Promise<ArrayBuffer> }) =>
          Response.json(await validator.inspect(await request.arrayBuffer())),
      },
      bindings: {
        ...trafficBindings(config, build),
        SLUICE_TRAFFIC_ORIGIN: `http://${config.domain}:${config.trafficPort}`,
        SLUICE_ACCOUNT_ID: config.accountId,
        SLUICE_TOKEN_SHA256: createHash("sha256").update(token).digest("hex"),
        SLUICE_FOLLOWERS: Object.keys(followers?.addresses ?? {}),
        SLUICE_CLOCK_OFFSET_MS: config.clockOffset * 1000,
      },
      unsafeDirectSockets: [
        { host: config.host, port: config.controlPort, entrypoint: "Control" },
        ...(followers === undefined
          ? [{ host: config.host, port: config.trafficPort }]
          : [
              { ...miniflareAddress(followers.replica), entrypoint: "Replica" },
              { ...miniflareAddress(followers.remote), entrypoint: "Remote" },
            ]),
      ],
    });

    const runtime = new Runtime(events, followers === undefined ? [] : [followers.replica, followers.remote]);
    runtime.#miniflare = watchSpawns(
      (child) => runtime.#adopt(child),
      () => new Miniflare(options),
    );
    await runtime.#miniflare.ready;
    return runtime;
  }

  /** Stops listening, lets requests finish and ends the process, after `DRAIN_MS` at the latest. Then `drained` is called. */
  drain(): void {
    this.#draining = true;
    const child = this.#process;
    // The process may have died already.
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      this.#events.drained();
      return;
    }
    child.kill("SIGTERM");
    setTimeout(() => this.#process?.kill("SIGKILL"), DRAIN_MS);
  }

  #adopt(child: ChildProcess): void {
    this.#process = child;
    // The sockets of the previous process would keep it from listening. It has not come that far: it first reads its
    // configuration from this process.
    for (const socket of this.#sockets) rmSync(socket, { force: true });
    // Before Miniflare's own listener, which would take a drained process for a crashed one and restart it.
    child.prependListener("exit", () => {
      if (this.#draining) this.#events.drained();
    });
    whenSpawned(child, this.#events.started);
  }
}

/** A Unix socket's path as host and port. Miniflare takes an address only in this form, and joins both with a colon. */
function miniflareAddress(socket: string): { host: string; port: number } {
  const [, host, port] = /^(.+):(\d+)$/.exec(`unix:${socket}`) ?? [];
  return { host: host ?? "", port: Number(port) };
}

class RuntimeLog extends Log {
  readonly #logger: Logger;

  constructor(logger: Logger) {
    super(LogLevel.WARN);
    this.#logger = logger;
  }

  override logWithLevel(level: LogLevel, message: string): void {
    if (level > LogLevel.WARN) return;
    this.#logger.log(level === LogLevel.WARN ? "warn" : "error", "runtime", { message });
  }
}
