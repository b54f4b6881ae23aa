/**
 * Publishing: what a Durable Object has committed reaches KV and every process, one change at a time. The registry of a
 * Worker and the account's object publish with this; each repeats from its alarm what did not arrive.
 */
import { log } from "../lib/log.ts";

/** What is committed and not published yet, as of one moment. */
export interface Publication {
  /** For the log: what is published. */
  readonly subject: Readonly<Record<string, unknown>>;
  /** Writes to KV what must be there first. Where it rejects, nothing else happens. */
  prepare?(): Promise<void>;
  /** Writes to KV. May reject. */
  write(): Promise<void>;
  /** Tells every process, also where `write` failed. @returns whether all of them have it */
  tell(): Promise<boolean>;
  /** Called when KV and every process have it. */
  confirm(): void;
}

export class Publishing {
  readonly #storage: DurableObjectStorage;
  readonly #next: () => Publication | undefined;
  readonly #after: () => Promise<void>;
  /** The last task of the queue. Never rejects. */
  #queue: Promise<void> = Promise.resolve();

  /**
   * @param next what is to be published; undefined where nothing is
   * @param after runs after each attempt, before the next one. Sets the alarm that repeats it. Never rejects
   */
  constructor(
    storage: DurableObjectStorage,
    next: () => Publication | undefined,
    after: () => Promise<void>,
  ) {
    this.#storage = storage;
    this.#next = next;
    this.#after = after;
  }

  /**
   * Publishes what is committed by the time it is this call's turn: an older record never lands on a newer one. Never
   * rejects; where something does not arrive, nothing is undone.
   */
  publish(): Promise<void> {
    return this.enqueue(() => this.#publishNext());
  }

  /** Runs a task after all publications that are under way, and before all later ones. @param task never rejects */
  enqueue(task: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue.then(task);
    return this.#queue;
  }

  async #publishNext(): Promise<void> {
    const publication = this.#next();
    if (publication === undefined) return;
    try {
      // Nothing is published before it is on disk: a commit that fails must not reach the router.
      await this.#storage.sync();
      await publication.prepare?.();
      let heard = false;
      try {
        await publication.write();
      } finally {
        heard = await publication.tell();
      }
      if (heard) publication.confirm();
    } catch (error) {
      log("error", "publish-failed", { ...publication.subject, why: String(error) });
    }
    await this.#after();
  }
}
