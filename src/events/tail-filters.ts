/** The events that `wrangler tail` shows, and its filters. Pure. */

/** One event, in wrangler's format. Times in ms since the epoch, durations in ms. */
export interface TailEvent {
  readonly outcome: string;
  readonly scriptName: string;
  readonly scriptVersion: { readonly id: string };
  readonly entrypoint?: string;
  readonly eventTimestamp: number | null;
  readonly event: Readonly<Record<string, unknown>> | null;
  readonly logs: readonly {
    readonly message: readonly unknown[];
    readonly level: string;
    readonly timestamp: number;
  }[];
  readonly exceptions: readonly {
    readonly name: string;
    readonly message: string;
    readonly stack?: string;
    readonly timestamp: number;
  }[];
  readonly truncated: boolean;
  readonly cpuTime: number;
  readonly wallTime: number;
}

/** An event, with those parts of its request that only filters may see: headers that are not redacted. */
export interface TracedEvent {
  readonly event: TailEvent;
  readonly method: string | undefined;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly clientAddress: string | undefined;
}

/** One of wrangler's filters. */
export type TailFilter =
  | { readonly sampling_rate: number }
  | { readonly outcome: readonly string[] }
  | { readonly method: readonly string[] }
  | { readonly header: { readonly key: string; readonly query?: string | undefined } }
  | { readonly client_ip: readonly string[] }
  | { readonly query: string }
  | { readonly scriptVersion: string };

/** Whether an event passes all filters. @param random returns a number in [0, 1) */
export function passes(filters: readonly TailFilter[], traced: TracedEvent, random: () => number): boolean {
  return filters.every((filter) => passesOne(filter, traced, random));
}

function passesOne(
  filter: TailFilter,
  { event, method, headers, clientAddress }: TracedEvent,
  random: () => number,
): boolean {
  if ("sampling_rate" in filter) return random() < filter.sampling_rate;
  if ("outcome" in filter) return filter.outcome.includes(event.outcome);
  if ("method" in filter) {
    return method !== undefined && filter.method.some((wanted) => wanted.toUpperCase() === method);
  }
  if ("header" in filter) {
    const value = headers[filter.header.key.toLowerCase()];
    return value?.includes(filter.header.query ?? "") === true;
  }
  if ("client_ip" in filter) return clientAddress !== undefined && filter.client_ip.includes(clientAddress);
  if ("query" in filter) {
    const texts = [
      ...event.logs.flatMap(({ message }) => message.map(textOf)),
      ...event.exceptions.map(({ message }) => message),
    ];
    return texts.some((text) => text.includes(filter.query));
  }
  return event.scriptVersion.id === filter.scriptVersion;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}
