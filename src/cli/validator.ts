/**
 * Tries uploads out in a separate process, one at a time, and ends the process if an upload does not finish starting. So
 * code at an upload's top level cannot block the server. A process that worked is used for the next upload too.
 */
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { LIMITS } from "../lib/limits.ts";
import type { ValidatorReply } from "../versions/types.ts";
import { type Bundle, loadBundle } from "./bundle.ts";
import { watchSpawns, whenSpawned } from "./spawns.ts";

export class Validator {
  readonly #compatibilityDate: string;
  readonly #started: (pid: number) => void;
  #bundle: Promise<Bundle> | undefined;
  #process: Miniflare | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  /** @param started called with the id of each process that starts */
  constructor(compatibilityDate: string, started: (pid: number) => void) {
    this.#compatibilityDate = compatibilityDate;
    this.#started = started;
  }

  /** Starts the process ahead of the first upload. */
  async warm(): Promise<void> {
    const runtime = await this.#start();
    await runtime.ready;
  }

  /** @param blob a version in its stored form */
  inspect(blob: ArrayBuffer): Promise<ValidatorReply> {
    const turn = this.#queue.then(() => this.#run(blob));
    this.#queue = turn;
    return turn;
  }

  async dispose(): Promise<void> {
    const runtime = this.#process;
    this.#process = undefined;
    await runtime?.dispose();
  }

  /** Never rejects: a failure becomes the reply. */
  async #run(blob: ArrayBuffer): Promise<ValidatorReply> {
    let runtime: Miniflare;
    try {
      runtime = await this.#start();
      await runtime.ready;
    } catch (error) {
      await this.dispose();
      return { fault: `the process that validates uploads does not start (${error})` };
    }
    const { promise: deadline, resolve: expire } = Promise.withResolvers<"late">();
    const timer = setTimeout(() => expire("late"), LIMITS.uploads.startupDeadlineMs);
    const started = performance.now();
    try {
      const answer = runtime
        .dispatchFetch("http://validator/", { method: "POST", body: blob })
        .then((response) => response.json() as Promise<ValidatorReply>);
      answer.catch(() => {});
      const reply = await Promise.race([answer, deadline]);
      if (reply !== "late") return { ...reply, startup_time_ms: Math.round(performance.now() - started) };
      await this.dispose();
      const seconds = LIMITS.uploads.startupDeadlineMs / 1000;
      return failed(
        `Script startup exceeded the time limit of ${seconds} s. Move long work from the top level into a handler.`,
      );
    } catch (error) {
      await this.dispose();
      return failed(
        `Script startup ended the process that validates uploads (${error}). It may have run out of memory.`,
      );
    } finally {
      clearTimeout(timer);
    }
  }

  async #start(): Promise<Miniflare> {
    this.#bundle ??= loadBundle("validator");
    const { modules } = await this.#bundle;
    const options = convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      cf: false,
      log: new Log(LogLevel.NONE),
      handleStructuredLogs: () => {},
      name: "validator",
      modules,
      compatibilityDate: this.#compatibilityDate,
      workerLoaders: { LOADER: {} },
    });
    this.#process ??= watchSpawns(
      (child) => whenSpawned(child, this.#started),
      () => new Miniflare(options),
    );
    return this.#process;
  }
}

function failed(message: string): ValidatorReply {
  return { ok: false, message, startup_time_ms: LIMITS.uploads.startupDeadlineMs };
}
