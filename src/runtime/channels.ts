/**
 * Channels from versions to Sluice. With several processes, a channel leads to the one that has what it needs:
 * `RemoteBinding` is the caller's end, `Remote` (remote.ts) that of the other process.
 */
import { exports, WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import type { Rpc } from "../lib/rpc.ts";
import { forwarding } from "./forward.ts";
import { BINDING_HEADER, LANE_HEADER, THROWN_HEADER } from "./lane-protocol.ts";
import { readError } from "./thrown.ts";
import type { ChannelEntrypoint } from "./version-env.ts";

/** A channel, as the process at its other end opens it. */
export interface ChannelProps {
  readonly entrypoint: ChannelEntrypoint;
  readonly props: object;
  /** The process that it leads to. */
  readonly home: Home;
}

type Home = "control" | "objects" | "canary";

/** Where each channel leads. The rest stays in the caller's process: other Workers run there too, and it reads files. */
const HOMES: Readonly<Partial<Record<ChannelEntrypoint, Home>>> = {
  AnalyticsBinding: "objects",
  D1Admin: "objects",
  D1Binding: "objects",
  DatasetAdmin: "objects",
  EventRunner: "objects",
  ObjectsBinding: "objects",
  KvBinding: "control",
  MetricsSink: "control",
  QueueBinding: "control",
  R2Binding: "control",
  RateLimitBinding: "control",
  HeldSink: "control",
  RolloutSink: "control",
  TailSink: "control",
};

export type Methods = Record<string, (...args: unknown[]) => unknown>;

/** `Remote` as another process calls it. A method can be called before the binding has arrived. */
interface RemoteEnd {
  readonly fetch: Fetcher["fetch"];
  binding(entrypoint: ChannelEntrypoint, props: object): Methods;
}

export class RemoteBinding extends WorkerEntrypoint<Env, ChannelProps> {
  constructor(ctx: ExecutionContext<ChannelProps>, env: Env) {
    super(ctx, env);
    // biome-ignore lint/correctness/noConstructorReturn: see forwarding()
    return forwarding(this, (method) => this.#call(method));
  }

  override async fetch(request: Request): Promise<Response> {
    const outgoing = new Request(request);
    // A client's, which the version has passed on: it would have the other process run any version.
    outgoing.headers.delete(LANE_HEADER);
    outgoing.headers.set(BINDING_HEADER, JSON.stringify(this.ctx.props));
    const response = await this.#remote.fetch(outgoing);
    if (response.status === 101) return response;
    const thrown = response.headers.get(THROWN_HEADER);
    if (thrown !== null) throw readError(thrown);
    return response;
  }

  #call(method: string): unknown {
    const { entrypoint, props } = this.ctx.props;
    return this.#remote.binding(entrypoint, props)[method];
  }

  get #remote(): RemoteEnd {
    return remoteOf(this.env, this.ctx.props.home);
  }
}

function remoteOf({ SLUICE_CONTROL, SLUICE_OBJECTS, SLUICE_CANARY }: Env, home: Home): RemoteEnd {
  const remotes = { control: SLUICE_CONTROL, objects: SLUICE_OBJECTS, canary: SLUICE_CANARY };
  return remotes[home] as unknown as RemoteEnd;
}

/** Opens a channel to an entrypoint in this process. */
export function channelTo(entrypoint: ChannelEntrypoint, props: object): Fetcher & Methods {
  return exports[entrypoint]({ props } as never) as unknown as Fetcher & Methods;
}

/**
 * Opens a channel to one of Sluice's entrypoints, wherever it runs. The caller that uses the channel itself says which
 * class the entrypoint is: naming the classes here would make this file import them all.
 */
export function openChannel<Entrypoint>(
  env: Pick<Env, "SLUICE_LANE">,
  entrypoint: ChannelEntrypoint,
  props: object,
): Rpc<Entrypoint> {
  const lane = env.SLUICE_LANE;
  const home = HOMES[entrypoint];
  const channel =
    lane === undefined || home === undefined || home === lane
      ? channelTo(entrypoint, props)
      : channelToLane(home, entrypoint, props);
  return channel as unknown as Rpc<Entrypoint>;
}

/** Opens a channel to an entrypoint in another process. */
export function channelToLane(home: Home, entrypoint: ChannelEntrypoint, props: object): Fetcher & Methods {
  return exports.RemoteBinding({ props: { home, entrypoint, props } }) as unknown as Fetcher & Methods;
}
