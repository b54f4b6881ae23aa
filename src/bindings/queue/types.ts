/** A message as its sender gives it. Size in bytes, 0 where it is not known; delay in seconds. */
export interface QueuedMessage {
  readonly type: string;
  readonly body: unknown;
  readonly size: number;
  readonly delay: number;
}

/** What waits in a queue. */
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
