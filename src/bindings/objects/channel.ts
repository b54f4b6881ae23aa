/** `durable_object_namespace`: a channel from a version to the objects of one namespace (host.ts). */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { LIMITS } from "../../lib/limits.ts";
import type { Rpc } from "../../lib/rpc.ts";
import { hostOf, type ObjectHost } from "./host.ts";
import { hostName } from "./identity.ts";
import { OBJECT_HEADER } from "./types.ts";

interface Props {
  /** The Worker that has the objects' class. */
  readonly worker: string;
  /** Id of the namespace. */
  readonly namespace: string;
}

/** Hosts that this process has told their objects' names, oldest first. */
const named = new Set<string>();

export class ObjectsBinding extends WorkerEntrypoint<Env, Props> {
  /** Passes a request to the object that `OBJECT_HEADER` names, in JSON: its id, and its name if it has one. */
  override async fetch(request: Request): Promise<Response> {
    const [hex, name] = JSON.parse(request.headers.get(OBJECT_HEADER) ?? "[]") as [string, string?];
    const incoming = new Request(request);
    incoming.headers.delete(OBJECT_HEADER);
    return (await this.object(hex, name)).fetch(incoming);
  }

  /** @param name the name that the id was made from, if any; the host stores it before the object starts */
  async object(hex: string, name: string | undefined): Promise<Rpc<ObjectHost>> {
    const host = this.#host(hex);
    const told = hostName({ ...this.ctx.props, hex });
    if (name !== undefined && !named.has(told)) {
      await host.sluiceName(name);
      named.add(told);
      if (named.size > LIMITS.bindings.maxNamedObjects) named.delete(named.values().next().value as string);
    }
    return host;
  }

  setAlarm(hex: string, time: number): Promise<void> {
    return this.#host(hex).sluiceSetAlarm(time);
  }

  async getAlarm(hex: string): Promise<number | null> {
    return this.#host(hex).sluiceGetAlarm();
  }

  deleteAlarm(hex: string): Promise<void> {
    return this.#host(hex).sluiceDeleteAlarm();
  }

  /** @param hex comes from the version: another text would be part of the host's name */
  #host(hex: string): Rpc<ObjectHost> {
    if (!/^[0-9a-f]{64}$/.test(hex)) throw new TypeError("Invalid Durable Object ID: must be 64 hex digits");
    return hostOf(this.env, { ...this.ctx.props, hex });
  }
}
