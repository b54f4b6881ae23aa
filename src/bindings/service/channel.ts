/** `service`: another Worker of this Sluice, through its own split. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { decide, type Given } from "../../router/decide.ts";
import { givenBy } from "../../router/given.ts";
import type { Split } from "../../router/split.ts";
import { channelToLane } from "../../runtime/channels.ts";
import { forwarding } from "../../runtime/forward.ts";
import { laneSource, versionSource } from "../../runtime/lanes.ts";
import { deploymentsOf, isolateSource } from "../../runtime/process.ts";

interface Props {
  /** The Worker that is called. */
  readonly worker: string;
  /** Its entrypoint; the default export where absent. */
  readonly entrypoint?: string;
  /** What the entrypoint sees as `ctx.props`. */
  readonly props?: Readonly<Record<string, unknown>>;
  /** The version, where another process has decided on it and passes the call on. */
  readonly version?: string;
}

/** A method call has no headers, so it has no request key: the shares pick its version at random. */
const WITHOUT_HEADERS = new Request("http://service/");

type Callee = Fetcher & Record<string, (...args: unknown[]) => unknown>;

/** The same for all calls of a process. */
let given: Given | undefined;

export class ServiceBinding extends WorkerEntrypoint<Env, Props> {
  constructor(ctx: ExecutionContext<Props>, env: Env) {
    super(ctx, env);
    // biome-ignore lint/correctness/noConstructorReturn: see forwarding()
    return forwarding(this, (method) => this.#call(method));
  }

  override async fetch(request: Request): Promise<Response> {
    const { entrypoint, props } = this.ctx.props;
    if (entrypoint === undefined && props === undefined) return this.#serve(request);
    const callee = this.#ready(request) ?? (await this.#load(request));
    return callee.fetch(request);
  }

  /** Serves as the router does, static assets included. */
  async #serve(request: Request): Promise<Response> {
    const { worker } = this.ctx.props;
    const deployments = deploymentsOf(this.env);
    const split = deployments.get(worker, this.ctx) ?? (await deployments.load(worker));
    if (split === undefined) throw new Error(`The Worker "${worker}" of a service binding is not deployed.`);
    const version = this.#versionFor(split, request);
    const source = versionSource(this.env);
    const handler = source.ready(version) ?? (await source.load(worker, version));
    return handler(request, this.env, this.ctx);
  }

  #call(method: string): unknown {
    const callee = this.#ready(WITHOUT_HEADERS);
    if (callee !== undefined) return callee[method];
    return async (...args: unknown[]) => (await this.#load(WITHOUT_HEADERS))[method]?.(...args);
  }

  #ready(request: Request): Callee | undefined {
    const split = deploymentsOf(this.env).get(this.ctx.props.worker, this.ctx);
    return split && this.#callee(this.#versionFor(split, request));
  }

  async #load(request: Request): Promise<Callee> {
    const { worker } = this.ctx.props;
    const split = await deploymentsOf(this.env).load(worker);
    if (split === undefined) throw new Error(`The Worker "${worker}" of a service binding is not deployed.`);
    const version = this.#versionFor(split, request);
    const source = versionSource(this.env);
    if (source.ready(version) === undefined) await source.load(worker, version);
    return this.#callee(version) as Callee;
  }

  #versionFor(split: Split, request: Request): string {
    if (this.ctx.props.version !== undefined) return this.ctx.props.version;
    given ??= givenBy(this.env.SLUICE_ADDRESS_HEADER, false);
    return decide(split, request, given).version.version_id;
  }

  #callee(version: string): Callee | undefined {
    const { entrypoint, props } = this.ctx.props;
    if (laneSource(this.env)?.isApart(version)) {
      return channelToLane("canary", "ServiceBinding", { ...this.ctx.props, version }) as Callee;
    }
    const worker = isolateSource(this.env).worker(version);
    return worker?.getEntrypoint(entrypoint, props === undefined ? {} : { props }) as Callee | undefined;
  }
}
