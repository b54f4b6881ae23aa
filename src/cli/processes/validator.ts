/**
 * Tries uploads out in a separate process, one at a time, and ends the process if an upload does not finish starting. So
 * code at an upload's top level cannot block the server. A process that worked is used for the next upload too.
 */
import { createServer, type Server } from "node:http";
import { buffer } from "node:stream/consumers";
import { LIMITS } from "../../lib/limits.ts";
import type { ValidatorReply } from "../../versions/types.ts";
import { loadBundle } from "../bundle.ts";
import type { Logger } from "../logger.ts";
import { validatorConfig } from "./configs.ts";
import type { RunFolder } from "./folder.ts";
import { post } from "./post.ts";
import { WorkerdProcess } from "./process.ts";

export class Validator {
  readonly #folder: RunFolder;
  readonly #logger: Logger;
  readonly #spawned: (pid: number | undefined) => void;
  readonly #server: Server;
  #config: Promise<string> | undefined;
  #process: WorkerdProcess | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  /** @param spawned called with the id of each process that starts */
  constructor(folder: RunFolder, logger: Logger, spawned: (pid: number | undefined) => void) {
    this.#folder = folder;
    this.#logger = logger;
    this.#spawned = spawned;
    this.#server = createServer((incoming, outgoing) => {
      const reply = buffer(incoming).then((blob) => this.inspect(blob));
      reply.then(
        (body) => outgoing.setHeader("Content-Type", "application/json").end(JSON.stringify(body)),
        () => outgoing.destroy(),
      );
    });
  }

  /** Path of the Unix socket on which the control process asks. */
  get socket(): string {
    return this.#folder.socket("validator");
  }

  /** Resolves once the control process can ask. */
  listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.listen(this.socket, resolve);
    // The server ends when its processes have ended, whoever is connected here.
    this.#server.unref();
    return promise;
  }

  /** Starts the process ahead of the first upload. */
  async warm(): Promise<void> {
    await this.#enqueue(async () => void (await this.#start()));
  }

  /** @param blob a version in its stored form */
  inspect(blob: Buffer): Promise<ValidatorReply> {
    return this.#enqueue(() => this.#run(blob));
  }

  end(): void {
    this.#process?.end();
    this.#process = undefined;
  }

  #enqueue<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(task);
    this.#queue = turn.catch(() => {});
    return turn;
  }

  /** Never rejects: a failure becomes the reply. */
  async #run(blob: Buffer): Promise<ValidatorReply> {
    try {
      await this.#start();
    } catch (error) {
      this.end();
      return { fault: `the process that validates uploads does not start (${error})` };
    }
    const { promise: deadline, resolve: expire } = Promise.withResolvers<"late">();
    const timer = setTimeout(() => expire("late"), LIMITS.uploads.startupDeadlineMs);
    const started = performance.now();
    try {
      const answer = this.#ask(blob);
      // At the deadline the process is ended, and the answer fails behind.
      answer.catch(() => {});
      const reply = await Promise.race([answer, deadline]);
      if (reply !== "late") return { ...reply, startup_time_ms: Math.round(performance.now() - started) };
      this.end();
      const seconds = LIMITS.uploads.startupDeadlineMs / 1000;
      return failed(
        `Script startup exceeded the time limit of ${seconds} s. Move long work from the top level into a handler.`,
      );
    } catch (error) {
      this.end();
      return failed(
        `Script startup ended the process that validates uploads (${error}). It may have run out of memory.`,
      );
    } finally {
      clearTimeout(timer);
    }
  }

  async #ask(blob: Buffer): Promise<ValidatorReply> {
    return (await post<ValidatorReply>(this.#socketOfProcess, "validator", blob)).reply;
  }

  async #start(): Promise<void> {
    if (this.#process !== undefined) return;
    this.#config ??= this.#writeConfig();
    const spec = {
      name: "validator",
      config: await this.#config,
      ports: [],
      sockets: [this.#socketOfProcess],
      logKey: this.#folder.logKey,
    };
    const started = new WorkerdProcess(spec, SILENT, {
      spawned: () => this.#spawned(started.pid),
      ended: (why) => {
        // An upload that ended it gets an error; the next one starts another.
        this.#logger.log("warn", "validator-ended", why);
        if (this.#process === started) this.end();
      },
    });
    this.#process = started;
    await started.start();
  }

  async #writeConfig(): Promise<string> {
    const modules = this.#folder.writeBundle("validator", await loadBundle("validator"));
    return this.#folder.writeConfig("validator", validatorConfig(modules, this.#socketOfProcess));
  }

  get #socketOfProcess(): string {
    return this.#folder.socket("validating");
  }
}

/** What uploads print while they are tried out is nobody's log. */
const SILENT: Logger = { log: () => {}, fromRuntime: () => {} };

function failed(message: string): ValidatorReply {
  return { ok: false, message, startup_time_ms: LIMITS.uploads.startupDeadlineMs };
}
