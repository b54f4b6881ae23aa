/**
 * `wrangler tail`: the sessions of one Worker, and its versions' events on their way to them. Versions are traced only while
 * there is a session: tracing costs every request something. Nothing of this is on disk; after a restart wrangler asks again.
 */
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { type Rpc, stubOf } from "../lib/rpc.ts";
import { openChannel } from "../runtime/channels.ts";
import { type Fleet, fleetOf } from "../runtime/fleet.ts";
import { isolateSource } from "../runtime/process.ts";
import { EVENT_METHOD } from "../versions/names.ts";
import { passes, type TailEvent, type TailFilter, type TracedEvent } from "./tail-filters.ts";

/** What wrangler insists on to find in the answer to its upgrade. */
const SUBPROTOCOL = "trace-v1";

interface Session {
  readonly filters: readonly TailFilter[];
  /** In ms since the epoch. */
  readonly begun: number;
  /** When it ends, connected or not, in ms since the epoch. */
  readonly expires: number;
  socket: WebSocket | undefined;
  /** Events sent in the second that began then. */
  second: number;
  sent: number;
}

export class TailHub extends DurableObject<Env> {
  readonly #fleet: Fleet;
  readonly #sessions = new Map<string, Session>();
  #worker = "";

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#fleet = fleetOf(env, ctx.exports.Follower);
  }

  /** Begins a session, and the tracing. Its id is all that its connection has to show. */
  async open(worker: string, filters: readonly TailFilter[]): Promise<{ id: string; expires: number }> {
    this.#worker = worker;
    const id = crypto.randomUUID();
    const expires = Date.now() + LIMITS.events.tailMs;
    this.#sessions.set(id, { filters, begun: Date.now(), expires, socket: undefined, second: 0, sent: 0 });
    await this.#fleet.tail(worker, true);
    await this.ctx.storage.setAlarm(Date.now() + LIMITS.events.tailRepeatMs);
    return { id, expires };
  }

  async close(id: string): Promise<boolean> {
    const session = this.#sessions.get(id);
    if (session === undefined) return false;
    this.#sessions.delete(id);
    session.socket?.close(1000, "The tail was ended.");
    if (this.#sessions.size === 0) await this.#fleet.tail(this.#worker, false);
    return true;
  }

  /** Ends all of them: the Worker was deleted. */
  async closeAll(): Promise<void> {
    for (const id of [...this.#sessions.keys()]) await this.close(id);
  }

  /** The connection of the session whose id is the path. */
  override async fetch(request: Request): Promise<Response> {
    const id = new URL(request.url).pathname.split("/").at(-1) ?? "";
    const session = this.#sessions.get(id);
    if (session === undefined) return new Response("There is no such tail.\n", { status: 404 });
    if (request.headers.get("Upgrade") !== "websocket") {
      return new Response("Connect with a WebSocket.\n", { status: 426 });
    }
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    server.accept();
    session.socket?.close(1000, "Another connection took over.");
    session.socket = server;
    const ended = () => {
      if (session.socket === server) void this.close(id);
    };
    server.addEventListener("close", ended);
    server.addEventListener("error", ended);
    const headers = { "Sec-WebSocket-Protocol": SUBPROTOCOL };
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  /** @returns whether anybody still wants to see events */
  push(events: readonly TracedEvent[]): boolean {
    for (const session of this.#sessions.values()) {
      for (const traced of events) {
        if (passes(session.filters, traced, Math.random)) send(session, traced.event);
      }
    }
    return this.#sessions.size > 0;
  }

  /** Ends sessions that nobody connected to in time, or that are over; tells processes that were started meanwhile. */
  override async alarm(): Promise<void> {
    const now = Date.now();
    for (const [id, { socket, begun, expires }] of this.#sessions) {
      if (expires <= now || (socket === undefined && begun + LIMITS.events.tailConnectMs <= now))
        await this.close(id);
    }
    if (this.#sessions.size === 0) return;
    await this.#fleet.tail(this.#worker, true);
    await this.ctx.storage.setAlarm(now + LIMITS.events.tailRepeatMs);
  }
}

/** As many events in a second as a terminal can show; that there were more is said once. */
function send(session: Session, event: TailEvent): void {
  const second = Math.floor(Date.now() / 1000);
  if (session.second !== second) Object.assign(session, { second, sent: 0 });
  session.sent++;
  if (session.sent > LIMITS.events.tailEventsPerSecond + 1) return;
  const isTooMuch = session.sent > LIMITS.events.tailEventsPerSecond;
  try {
    session.socket?.send(JSON.stringify(isTooMuch ? overload(event) : event));
  } catch {
    // Its connection is ending: nobody is there to see it.
  }
}

function overload(event: TailEvent): TailEvent {
  const message = `More than ${LIMITS.events.tailEventsPerSecond} events in this second: the rest of them is not shown. Add a sampling rate or another filter.`;
  return { ...event, logs: [], exceptions: [], event: { message, type: "overload" } };
}

interface CollectorProps {
  readonly worker: string;
  readonly version: string;
}

/** Gets the traces of a version, in the process in which it runs. */
export class TailCollector extends WorkerEntrypoint<Env, CollectorProps> {
  override async tail(items: TraceItem[]): Promise<void> {
    const { worker, version } = this.ctx.props;
    const addressHeader = this.env.SLUICE_ADDRESS_HEADER.toLowerCase() || "cf-connecting-ip";
    const events = items.flatMap((item) => traceOf(item, worker, version, addressHeader) ?? []);
    if (events.length === 0) return;
    const sink = openChannel(this.env, "TailSink", { worker }) as unknown as TailSink;
    const isWanted = await sink.push(events);
    if (!isWanted) await isolateSource(this.env).setTailing(worker, false);
  }
}

/** Takes them to the sessions. */
export class TailSink extends WorkerEntrypoint<Env, { readonly worker: string }> {
  push(events: readonly TracedEvent[]): Promise<boolean> {
    return hubOf(this.env, this.ctx.props.worker).push(events);
  }
}

/** An event for those who watch; undefined for one of our own. */
function traceOf(
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
        ...(stack === undefined ? {} : { stack }),
        timestamp,
      })),
      truncated: item.truncated,
      cpuTime: item.cpuTime,
      wallTime: item.wallTime,
    },
  };
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

export function hubOf({ TAILS }: Pick<Env, "TAILS">, worker: string): Rpc<TailHub> {
  return stubOf(TAILS, worker);
}
