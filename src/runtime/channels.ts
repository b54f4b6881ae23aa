/**
 * Bindings of versions that run in a traffic process (`sluice serve --processes`): what they bind to is in the control
 * process, and every call goes there. `RemoteBinding` is the traffic process's end, `Remote` the other one.
 */
import { exports, RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import { forwarding } from "./forward.ts";
import type { ChannelEntrypoint } from "./version-env.ts";

interface Props {
  readonly entrypoint: ChannelEntrypoint;
  readonly props: object;
}

/** Says which binding an HTTP request between the two is for. */
const BINDING_HEADER = "sluice-binding";

/** An exception is no answer in HTTP, so it goes in a header. */
const THROWN_HEADER = "sluice-thrown";
const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError } as const;

/** Name and message, in characters that a header takes. */
function writeError(error: unknown): string {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return encodeURIComponent(JSON.stringify([name, message]));
}

function readError(text: string): Error {
  const [name, message] = JSON.parse(decodeURIComponent(text)) as [string, string];
  const Type = Object.hasOwn(ERRORS, name) ? ERRORS[name as keyof typeof ERRORS] : Error;
  return new Type(message);
}

type Methods = Record<string, (...args: unknown[]) => unknown>;

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
    return (this.#remote.binding(entrypoint, props) as unknown as Methods)[method];
  }

  get #remote(): Fetcher & Pick<Remote, "binding"> {
    return this.env.SLUICE_REMOTE as unknown as Fetcher & Pick<Remote, "binding">;
  }
}

/** Only traffic processes can reach it: its socket is in a folder that only the server's user can enter. */
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
 * A channel of one process cannot be given to another one, but a target that forwards to it can. Of a target the runtime
 * takes the methods of its prototype only.
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

/** What a traffic process has itself: other Workers run here as well, and files are read from KV. */
const HERE: ReadonlySet<ChannelEntrypoint> = new Set(["ServiceBinding", "AssetsBinding"]);

/** Opens the channels of versions that this process loads. */
export function openChannel(
  env: Pick<Env, "SLUICE_REMOTE">,
  entrypoint: ChannelEntrypoint,
  props: object,
): unknown {
  if (env.SLUICE_REMOTE === undefined || HERE.has(entrypoint)) return channelTo(entrypoint, props);
  return exports.RemoteBinding({ props: { entrypoint, props } });
}
