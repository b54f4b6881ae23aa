/** What versions and queues send each other. */

/** A message from its sender. Size in bytes, 0 if it is not known; delay in seconds. */
export interface QueuedMessage {
  readonly type: string;
  readonly body: unknown;
  readonly size: number;
  readonly delay: number;
}

/** The messages that wait in a queue. */
export interface QueueMetrics {
  readonly backlogCount: number;
  readonly backlogBytes: number;
  readonly oldestMessageTimestamp?: Date;
}

/** A batch on its way to a consumer. */
export interface DeliveredBatch {
  readonly id: string;
  readonly queue: string;
  readonly messages: readonly {
    readonly id: string;
    readonly timestamp: Date;
    readonly attempts: number;
    readonly type: string;
    readonly body: unknown;
  }[];
  readonly metrics: QueueMetrics;
}

/** What a consumer said about a batch. */
export interface BatchOutcome {
  /** Messages that it acknowledged one by one. */
  readonly acked: readonly string[];
  /** Messages that it asked to retry one by one, with the seconds to wait. */
  readonly retried: readonly { readonly id: string; readonly delay: number | undefined }[];
  /** What it said about all other messages. */
  readonly others: "ack" | "retry";
  /** Seconds to wait before the others are retried. */
  readonly othersDelay: number | undefined;
}
