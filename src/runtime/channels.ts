/**
 * Channels from versions to Sluice. In a traffic process (`sluice serve --processes`) they lead to the control process,
 * which has what versions are bound to: `RemoteBinding` is the traffic process's end, `Remote` the control process's.
 */
import { exports, RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import type { Rpc } from "../lib/rpc.ts";
import { forwarding } from "./forward.ts";
import { readError, writeError } from "./thrown.ts";
import type { ChannelEntrypoint } from "./version-env.ts";

interface Props {
  readonly entrypoint: ChannelEntrypoint;
  readonly props: object;
}

/** Header that says which binding a request between the two processes is for. */
const BINDING_HEADER = "sluice-binding";

/** Header with an exception: HTTP has no other place for one. */
const THROWN_HEADER = "sluice-thrown";

type Methods = Record<string, (...args: unknown[]) => unknown>;

/** `Remote` as a traffic process calls it. A method can be called before the binding has arrived. */
interface RemoteEnd {
  readonly fetch: Fetcher["fetch"];
  binding(entrypoint: ChannelEntrypoint, props: object): Methods;
}

export class RemoteBinding extends WorkerEntrypoint<Env, Props> {
  constructor(ctx: ExecutionContext<Props>, env: Env) {
    super(ctx, env);
    // biome-ignore lint/correctness/noConstructorReturn: see forwarding()
    return forwarding(this, (method) => this.#call(method));
  }

  override async fetch(request: Request): Promise<Response> {
    const outgoing = new Request(request);
    outgoing.headers.set(BINDING_HEADER, JSON.stringify(this.ctx.props));
    const response = await this.#remote.fetch(outgoing);
    const thrown = response.headers.get(THROWN_HEADER);
    if (thrown !== null) throw readError(thrown);
    return response;
  }

  #call(method: string): unknown {
    const { entrypoint, props } = this.ctx.props;
    return this.#remote.binding(entrypoint, props)[method];
  }

  get #remote(): RemoteEnd {
    return this.env.SLUICE_REMOTE as unknown as RemoteEnd;
  }
}

/** Only traffic processes can reach this: its socket is in a folder that only the server's user can enter. */
export class Remote extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const incoming = new Request(request);
    const { entrypoint, props } = JSON.parse(request.headers.get(BINDING_HEADER) ?? "{}") as Props;
    incoming.headers.delete(BINDING_HEADER);
    try {
      return await channelTo(entrypoint, props).fetch(incoming);
    } catch (error) {
      return new Response(null, { status: 500, headers: { [THROWN_HEADER]: writeError(error) } });
    }
  }

  binding(entrypoint: ChannelEntrypoint, props: object): RpcTarget {
    const channel = channelTo(entrypoint, props);
    return entrypoint === "ObjectsBinding"
      ? new Forwarded(channel, { object: (...args) => forwardObject(channel, args) })
      : new Forwarded(channel);
  }
}

/**
 * Forwards to a channel, which cannot itself be sent to another process. The runtime looks methods up on a target's
 * prototype only, so the forwarding is there.
 */
class Forwarded extends RpcTarget {
  constructor(to: Methods, instead: Methods = {}) {
    super();
    const methods = new Proxy(Forwarded.prototype, {
      get: (own, property) => {
        if (typeof property === "symbol" || property in own) return Reflect.get(own, property, own);
        return instead[property] ?? to[property];
      },
    });
    Object.setPrototypeOf(this, methods);
  }
}

async function forwardObject(channel: Methods, args: readonly unknown[]): Promise<RpcTarget> {
  return new Forwarded((await channel.object?.(...args)) as Methods);
}

function channelTo(entrypoint: ChannelEntrypoint, props: object): Fetcher & Methods {
  return exports[entrypoint]({ props } as never) as unknown as Fetcher & Methods;
}

/** Entrypoints that a traffic process serves itself: other Workers run here too, and it reads files from KV. */
const LOCAL: ReadonlySet<ChannelEntrypoint> = new Set(["ServiceBinding", "AssetsBinding"]);

/**
 * Opens a channel to one of Sluice's entrypoints, wherever it runs. The caller that uses the channel itself says which
 * class the entrypoint is: naming the classes here would make this file import them all.
 */
export function openChannel<Entrypoint>(
  env: Pick<Env, "SLUICE_REMOTE">,
  entrypoint: ChannelEntrypoint,
  props: object,
): Rpc<Entrypoint> {
  return channelFrom(env, entrypoint, props) as unknown as Rpc<Entrypoint>;
}

function channelFrom(env: Pick<Env, "SLUICE_REMOTE">, entrypoint: ChannelEntrypoint, props: object): Fetcher {
  if (env.SLUICE_REMOTE === undefined || LOCAL.has(entrypoint)) return channelTo(entrypoint, props);
  return exports.RemoteBinding({ props: { entrypoint, props } });
}
