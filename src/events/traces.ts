/** From the runtime's traces to the events that tails show. Pure. */
import { EVENT_METHOD } from "../versions/names.ts";
import type { TailEvent, TracedEvent } from "./tail-filters.ts";

/**
 * What a tail shows of a trace; undefined for a call of Sluice's own.
 *
 * @param addressHeader header with the client address, in lower case
 */
export function traceOf(
  item: TraceItem,
  worker: string,
  version: string,
  addressHeader: string,
): TracedEvent | undefined {
  const { event } = item;
  const isOwn = item.entrypoint?.startsWith("__sluice") === true;
  const method = event !== null && "rpcMethod" in event ? event.rpcMethod : undefined;
  if (isOwn && method?.startsWith(EVENT_METHOD) !== true) return undefined;
  const request =
    event !== null && "request" in event ? (event as TraceItemFetchEventInfo).request : undefined;
  const headers = request?.getUnredacted().headers ?? {};
  return {
    method: request?.method,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    clientAddress: headers[addressHeader],
    event: {
      outcome: item.outcome,
      scriptName: worker,
      scriptVersion: { id: version },
      ...(item.entrypoint === undefined || isOwn ? {} : { entrypoint: item.entrypoint }),
      eventTimestamp: item.eventTimestamp,
      event: isOwn ? JSON.parse(method?.slice(EVENT_METHOD.length) ?? "null") : showEvent(event),
      logs: item.logs.map(({ message, level, timestamp }) => ({ message, level, timestamp })),
      exceptions: item.exceptions.map(({ name, message, stack, timestamp }) => ({
        name,
        message,
        ...(stack === undefined ? {} : { stack: withoutOwn(stack) }),
        timestamp,
      })),
      truncated: item.truncated,
      cpuTime: item.cpuTime,
      wallTime: item.wallTime,
    },
  };
}

/** A stack without the lines of what Sluice adds to a version. */
function withoutOwn(stack: string): string {
  return stack
    .split("\n")
    .filter((line) => !line.includes("/__sluice_"))
    .join("\n");
}

function showEvent(event: TraceItem["event"]): TailEvent["event"] {
  if (event === null) return null;
  if ("request" in event) {
    const { request, response } = event as TraceItemFetchEventInfo;
    const { url, method, headers, cf } = request;
    return {
      request: { url, method, headers: { ...headers }, ...(cf === undefined ? {} : { cf }) },
      ...(response === undefined ? {} : { response: { status: response.status } }),
    };
  }
  return "rpcMethod" in event ? { rpcMethod: event.rpcMethod } : { ...event };
}
