/** What a queue does next. Pure: the caller passes the time in. Times are in ms since the epoch unless they say otherwise. */
import type { BatchOutcome } from "./types.ts";

/** The Worker that takes the messages of a queue, and how. Defaults are Cloudflare's (https://developers.cloudflare.com/queues/configuration/configure-queues/). */
export interface Consumer {
  readonly id: string;
  readonly worker: string;
  /** Messages in a batch, 1 to 100. */
  readonly batch_size: number;
  /** How long a message may wait for its batch to fill up. */
  readonly max_wait_ms: number;
  /** Deliveries after the first one, for each message. */
  readonly max_retries: number;
  /** Seconds before each of them. */
  readonly retry_delay: number;
  /** Name of the queue that gets a message after its last failed delivery; null drops the message. */
  readonly dead_letter_queue: string | null;
}

export const CONSUMER_DEFAULTS = {
  batch_size: 10,
  max_wait_ms: 5_000,
  max_retries: 3,
  retry_delay: 0,
  dead_letter_queue: null,
} as const;

/** The waiting messages, as far as the next delivery depends on them. */
export interface Waiting {
  /** Messages that may be delivered now. */
  readonly ready: number;
  /** When the first of them became ready. */
  readonly readySince: number | undefined;
  /** When the next delayed message becomes ready. */
  readonly nextReady: number | undefined;
}

/** When to look for the next batch; undefined if nothing waits. */
export function nextDelivery(
  { ready, readySince, nextReady }: Waiting,
  { batch_size, max_wait_ms }: Pick<Consumer, "batch_size" | "max_wait_ms">,
  now: number,
): number | undefined {
  if (ready >= batch_size) return now;
  const full = readySince === undefined ? undefined : readySince + max_wait_ms;
  // The next delayed message may fill the batch earlier.
  const times = [full, nextReady].filter((time) => time !== undefined);
  return times.length === 0 ? undefined : Math.max(Math.min(...times), now);
}

/**
 * How many of the first ready messages go into one batch. One that was under way when its process ended goes alone, so
 * that the next end shows whether it was the cause.
 */
export function batchOf(ready: readonly { readonly deaths: number }[]): number {
  const suspect = ready.findIndex(({ deaths }) => deaths > 0);
  return suspect === -1 ? ready.length : Math.max(suspect, 1);
}

type Fate =
  | { readonly kind: "delete" }
  | { readonly kind: "dead" }
  | { readonly kind: "retry"; readonly at: number };

/** What to do with a message once its batch was delivered. */
export function fateOf(
  message: { readonly id: string; readonly attempts: number },
  outcome: BatchOutcome,
  consumer: Pick<Consumer, "max_retries" | "retry_delay">,
  now: number,
): Fate {
  if (outcome.acked.includes(message.id)) return { kind: "delete" };
  const retried = outcome.retried.find(({ id }) => id === message.id);
  if (retried === undefined && outcome.others === "ack") return { kind: "delete" };
  if (message.attempts > consumer.max_retries) return { kind: "dead" };
  const delay = (retried === undefined ? outcome.othersDelay : retried.delay) ?? consumer.retry_delay;
  return { kind: "retry", at: now + delay * 1000 };
}
