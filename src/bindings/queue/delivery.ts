/** What a queue does next. Pure: time is passed in. Times in ms since the epoch, unless they say otherwise. */

/** Who takes the messages of a queue, and how. Defaults are Cloudflare's (https://developers.cloudflare.com/queues/configuration/configure-queues/). */
export interface Consumer {
  readonly id: string;
  readonly worker: string;
  /** Messages in a batch, 1 to 100. */
  readonly batch_size: number;
  /** How long a batch may wait until it is full. */
  readonly max_wait_ms: number;
  /** How often a message is tried again. */
  readonly max_retries: number;
  /** Seconds before that. */
  readonly retry_delay: number;
  /** Name of the queue that gets what failed for the last time; null drops it. */
  readonly dead_letter_queue: string | null;
}

export const CONSUMER_DEFAULTS = {
  batch_size: 10,
  max_wait_ms: 5_000,
  max_retries: 3,
  retry_delay: 0,
  dead_letter_queue: null,
} as const;

/** What waits, as far as the next delivery depends on it. */
export interface Waiting {
  /** Messages that may be delivered now. */
  readonly ready: number;
  /** Since when the oldest of them may. */
  readonly readySince: number | undefined;
  /** When the next delayed one may. */
  readonly nextReady: number | undefined;
}

/** When the next batch is to be delivered; undefined where nothing waits. */
export function nextDelivery(
  { ready, readySince, nextReady }: Waiting,
  { batch_size, max_wait_ms }: Pick<Consumer, "batch_size" | "max_wait_ms">,
  now: number,
): number | undefined {
  if (ready >= batch_size) return now;
  const full = readySince === undefined ? undefined : readySince + max_wait_ms;
  // One that becomes ready may fill the batch earlier.
  const times = [full, nextReady].filter((time) => time !== undefined);
  return times.length === 0 ? undefined : Math.max(Math.min(...times), now);
}

/** What a consumer said about a batch. */
export interface BatchOutcome {
  /** Messages that it acknowledged by themselves. */
  readonly acked: readonly string[];
  /** Messages that it wants again, with seconds to wait for each. */
  readonly retried: readonly { readonly id: string; readonly delay: number | undefined }[];
  /** What becomes of the others. */
  readonly others: "ack" | "retry";
  /** Seconds to wait for the others. */
  readonly othersDelay: number | undefined;
}

type Fate =
  | { readonly kind: "delete" }
  | { readonly kind: "dead" }
  | { readonly kind: "retry"; readonly at: number };

/** What becomes of a message after its batch was delivered. */
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
