/**
 * Publishes what a Durable Object has committed to KV and every process, one record at a time. Used by each Worker's
 * registry and by the account's object. Each repeats a failed publication from its alarm.
 */
import { log } from "../lib/log.ts";

/** What is committed but not published, at one moment. */
export interface Publication {
  /** Names it in the log. */
  readonly subject: Readonly<Record<string, unknown>>;
  /** Writes to KV what must be there first. Where it rejects, the attempt ends. */
  prepare?(): Promise<void>;
  /** Writes to KV. May reject. */
  write(): Promise<void>;
  /** Tells every process, even where `write` failed. @returns whether all of them have it */
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
   * @param next what to publish; undefined where everything is published
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
   * Waits for earlier publications, then publishes what is committed: an older record never lands on a newer one. Never
   * rejects. A failed publication undoes nothing.
   */
  publish(): Promise<void> {
    return this.enqueue(() => this.#publishNext());
  }

  /** Runs a task after all earlier publications and before all later ones. @param task must not reject */
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
