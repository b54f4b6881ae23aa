/** `Queue` and `MessageBatch` for a version's code: sends go to channel.ts, batches come from broker.ts. */
import type { Rpc } from "../../lib/rpc.ts";
import { captured } from "../shared/captured.ts";
import { eventEntrypoint } from "../shared/event-entrypoint.ts";
import type { QueueBinding } from "./channel.ts";
import type { BatchOutcome, DeliveredBatch, QueuedMessage, QueueMetrics } from "./types.ts";

/** Cloudflare's limits (https://developers.cloudflare.com/queues/platform/limits/), sizes in bytes, times in seconds. */
const MAX = { message: 128_000, batch: 256_000, messages: 100, delay: 86_400 } as const;

interface SendOptions {
  readonly contentType?: string;
  readonly delaySeconds?: number;
}

type Sent = { readonly metadata: { readonly metrics: QueueMetrics } };

export class WorkerQueue {
  readonly #remote: Rpc<QueueBinding>;
  readonly #delay: number;

  constructor(remote: Rpc<QueueBinding>, { delivery_delay = 0 }: { readonly delivery_delay?: number }) {
    this.#remote = remote;
    this.#delay = delivery_delay;
  }

  async send(...args: [unknown?, SendOptions?]): Promise<Sent> {
    if (args.length === 0) throw notOfType("send", "Value");
    const [body, options] = args;
    return this.#send([this.#message(body, options?.contentType, options?.delaySeconds)]);
  }

  async sendBatch(
    messages: Iterable<{ readonly body?: unknown } & SendOptions>,
    options?: { readonly delaySeconds?: number },
  ): Promise<Sent> {
    if (typeof messages !== "object" || messages === null) throw notOfType("sendBatch", "Sequence");
    const all = [...messages].map(({ body, contentType, delaySeconds }) =>
      this.#message(body, contentType, delaySeconds ?? options?.delaySeconds),
    );
    if (all.length === 0) throw new TypeError("sendBatch() requires at least one message");
    if (all.length > MAX.messages) {
      throw new Error(
        `Queue sendBatch failed: batch message count of ${all.length} exceeds limit of ${MAX.messages}`,
      );
    }
    const size = all.reduce((sum, message) => sum + message.size, 0);
    if (size > MAX.batch) {
      throw new Error(`Queue sendBatch failed: batch size of ${size} bytes exceeds limit of ${MAX.batch}`);
    }
    return this.#send(all);
  }

  async metrics(): Promise<QueueMetrics> {
    return this.#remote.metrics();
  }

  async #send(messages: QueuedMessage[]): Promise<Sent> {
    return { metadata: { metrics: await this.#remote.send(messages) } };
  }

  #message(body: unknown, type = "json", delay = this.#delay): QueuedMessage {
    if (body === undefined) throw new TypeError("Message body cannot be undefined");
    if (!(delay >= 0 && delay <= MAX.delay)) {
      throw new Error(`Queue send failed: delaySeconds must be between 0 and ${MAX.delay}, not ${delay}`);
    }
    const encoded = encode(body, type);
    if (encoded.size > MAX.message) {
      throw new Error(
        `Queue send failed: message length of ${encoded.size} bytes exceeds limit of ${MAX.message}`,
      );
    }
    return { type, delay, ...encoded };
  }
}

/** The body in its stored form, and its size in bytes. */
function encode(body: unknown, type: string): Pick<QueuedMessage, "body" | "size"> {
  const required = (wanted: string) =>
    new TypeError(`Content Type "${type}" requires a value of type ${wanted}, but received: ${typeof body}`);
  const measured = (text: string) => ({ body: text, size: new TextEncoder().encode(text).byteLength });
  switch (type) {
    case "text":
      if (typeof body !== "string") throw required("string");
      return measured(body);
    case "bytes":
      if (!ArrayBuffer.isView(body)) throw required("ArrayBufferView");
      return {
        body: new Uint8Array(body.buffer as ArrayBuffer, body.byteOffset, body.byteLength).slice().buffer,
        size: body.byteLength,
      };
    case "json": {
      const text = JSON.stringify(body);
      if (text === undefined) throw new TypeError("Message body cannot be serialized as JSON");
      return measured(text);
    }
    case "v8":
      // Throws for a value that cannot be cloned. Its size is not known here.
      return { body: structuredClone(body), size: 0 };
    default:
      throw new TypeError(`Unsupported queue message content type: ${type}`);
  }
}

function notOfType(method: string, type: string): TypeError {
  return new TypeError(
    `Failed to execute '${method}' on 'WorkerQueue': parameter 1 is not of type '${type}'.`,
  );
}

interface RetryOptions {
  readonly delaySeconds?: number;
}

class QueueMessage {
  readonly id: string;
  readonly timestamp: Date;
  readonly body: unknown;
  readonly attempts: number;
  readonly #fates: Fates;

  constructor({ id, timestamp, body, type, attempts }: DeliveredBatch["messages"][number], fates: Fates) {
    this.id = id;
    this.timestamp = timestamp;
    this.body = type === "json" ? captured.parseJson(body as string) : body;
    this.attempts = attempts;
    this.#fates = fates;
  }

  ack(): void {
    this.#fates.set(this.id, "ack");
  }

  retry(options?: RetryOptions): void {
    this.#fates.set(this.id, { delay: options?.delaySeconds });
  }
}

/** What becomes of a message: it is acknowledged, or delivered again after so many seconds. */
type Fate = "ack" | { readonly delay: number | undefined };

/** What the consumer has said so far. What it says first counts, of a message and of the whole batch, as on Cloudflare. */
class Fates {
  /** By message. */
  readonly #each: Record<string, Fate> = { __proto__: null } as never;
  #all: Fate | undefined;

  set(id: string, fate: Fate): void {
    this.#each[id] ??= fate;
  }

  setAll(fate: Fate): void {
    this.#all ??= fate;
  }

  /** The handler failed: whatever it has said of the whole batch counts no longer. */
  fail(): void {
    this.#all = { delay: undefined };
  }

  outcome(): BatchOutcome {
    const acked: string[] = [];
    const retried: { id: string; delay: number | undefined }[] = [];
    for (const id in this.#each) {
      const fate = this.#each[id] as Fate;
      if (fate === "ack") captured.push(acked, id);
      else captured.push(retried, { id, delay: fate.delay });
    }
    const all = this.#all ?? "ack";
    return {
      acked,
      retried,
      others: all === "ack" ? "ack" : "retry",
      othersDelay: all === "ack" ? undefined : all.delay,
    };
  }
}

class QueueController {
  readonly queue: string;
  readonly messages: readonly QueueMessage[];
  readonly metadata: { readonly metrics: QueueMetrics };
  readonly #fates: Fates;

  constructor({ queue, messages, metrics }: DeliveredBatch, fates: Fates) {
    this.queue = queue;
    this.messages = captured.map(messages, (message) => new QueueMessage(message, fates));
    this.metadata = { metrics };
    this.#fates = fates;
  }

  ackAll(): void {
    this.#fates.setAll("ack");
  }

  retryAll(options?: RetryOptions): void {
    this.#fates.setAll({ delay: options?.delaySeconds });
  }
}

interface Handler {
  queue(batch: object, env: unknown, ctx: unknown): unknown;
}

/** The entrypoint that passes batches to a version's `queue` handler. */
export function queueEntrypoint(main: Handler) {
  return eventEntrypoint(
    main,
    async (handler: Handler, batch: DeliveredBatch, env, ctx): Promise<BatchOutcome> => {
      const fates = new Fates();
      try {
        await handler.queue(new QueueController(batch, fates), env, ctx);
      } catch (error) {
        captured.logError(error);
        fates.fail();
      }
      return fates.outcome();
    },
  );
}
