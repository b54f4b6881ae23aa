/**
 * `wrangler tail`: the sessions of one Worker, and the path of its versions' events to them. Versions are traced only while
 * there is a session, because tracing makes every request slower. Sessions are not stored; after a restart wrangler opens
 * a new one.
 */
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { type Rpc, stubOf } from "../lib/rpc.ts";
import { openChannel } from "../runtime/channels.ts";
import { type Fleet, fleetOf } from "../runtime/fleet.ts";
import { isolateSource } from "../runtime/process.ts";
import { passes, type TailEvent, type TailFilter, type TracedEvent } from "./tail-filters.ts";
import { traceOf } from "./traces.ts";

/** wrangler requires this in the answer to its upgrade. */
const SUBPROTOCOL = "trace-v1";

interface Session {
  readonly filters: readonly TailFilter[];
  /** In ms since the epoch. */
  readonly begun: number;
  /** When the session ends, connected or not, in ms since the epoch. */
  readonly expires: number;
  socket: WebSocket | undefined;
  /** The second in which events were last sent, in s since the epoch. */
  second: number;
  /** Events in that second, those that were not sent included. */
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

  /** Begins a session, and the tracing. The id is the only credential of the session's connection. */
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
    session.socket?.close(1000, "The tail has ended.");
    if (this.#sessions.size === 0) await this.#fleet.tail(this.#worker, false);
    return true;
  }

  /** Ends all sessions, because the Worker was deleted. */
  async closeAll(): Promise<void> {
    for (const id of [...this.#sessions.keys()]) await this.close(id);
  }

  /** Connects to the session whose id ends the path. */
  override async fetch(request: Request): Promise<Response> {
    const id = new URL(request.url).pathname.split("/").at(-1) ?? "";
    const session = this.#sessions.get(id);
    if (session === undefined) return new Response("This tail does not exist.\n", { status: 404 });
    if (request.headers.get("Upgrade") !== "websocket") {
      return new Response("Connect with a WebSocket.\n", { status: 426 });
    }
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    server.accept();
    session.socket?.close(1000, "Another connection has replaced this one.");
    session.socket = server;
    const ended = () => {
      if (session.socket === server) void this.close(id);
    };
    server.addEventListener("close", ended);
    server.addEventListener("error", ended);
    const headers = { "Sec-WebSocket-Protocol": SUBPROTOCOL };
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  /** @returns whether there is still a session */
  push(events: readonly TracedEvent[]): boolean {
    for (const session of this.#sessions.values()) {
      for (const traced of events) {
        if (passes(session.filters, traced, Math.random)) send(session, traced.event);
      }
    }
    return this.#sessions.size > 0;
  }

  /** Ends sessions that are over or were not connected to in time, and starts tracing in new processes. */
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

/** Sends at most `LIMITS.events.tailEventsPerSecond` events per second, and one notice if there are more. */
function send(session: Session, event: TailEvent): void {
  const second = Math.floor(Date.now() / 1000);
  if (session.second !== second) Object.assign(session, { second, sent: 0 });
  session.sent++;
  if (session.sent > LIMITS.events.tailEventsPerSecond + 1) return;
  const isTooMuch = session.sent > LIMITS.events.tailEventsPerSecond;
  try {
    session.socket?.send(JSON.stringify(isTooMuch ? overload(event) : event));
  } catch {
    // The connection is closing.
  }
}

function overload(event: TailEvent): TailEvent {
  const message = `More than ${LIMITS.events.tailEventsPerSecond} events in this second; the others are not shown. Add a sampling rate or another filter.`;
  return { ...event, logs: [], exceptions: [], event: { message, type: "overload" } };
}

interface CollectorProps {
  readonly worker: string;
  readonly version: string;
}

/** Receives the traces of a version, in the process in which it runs. */
export class TailCollector extends WorkerEntrypoint<Env, CollectorProps> {
  override async tail(items: TraceItem[]): Promise<void> {
    const { worker, version } = this.ctx.props;
    const addressHeader = this.env.SLUICE_ADDRESS_HEADER.toLowerCase() || "cf-connecting-ip";
    const events = items.flatMap((item) => traceOf(item, worker, version, addressHeader) ?? []);
    if (events.length === 0) return;
    const isTailed = await openChannel<TailSink>(this.env, "TailSink", { worker }).push(events);
    if (!isTailed) await isolateSource(this.env).setTailing(worker, false);
  }
}

/** Passes events to the sessions. */
export class TailSink extends WorkerEntrypoint<Env, { readonly worker: string }> {
  push(events: readonly TracedEvent[]): Promise<boolean> {
    return hubOf(this.env, this.ctx.props.worker).push(events);
  }
}

export function hubOf({ TAILS }: Pick<Env, "TAILS">, worker: string): Rpc<TailHub> {
  return stubOf(TAILS, worker);
}
