/** `kv_namespace`: all namespaces of all Workers share one KV namespace, with each namespace's id as a prefix. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";

interface Props {
  /** Id of the namespace. */
  readonly namespace: string;
}

/** One namespace within the shared one, with the keys that its users know. */
export function namespaceOf(kv: KVNamespace, id: string) {
  const prefix = `${id}/`;
  const inside = (key: string) => prefix + key;
  const each = <T>(values: ReadonlyMap<string, T>) =>
    new Map([...values].map(([key, value]) => [key.slice(prefix.length), value]));
  return {
    async get(keys: string | string[], options?: unknown): Promise<unknown> {
      if (typeof keys === "string") return kv.get(inside(keys), options as never);
      return each((await kv.get(keys.map(inside), options as never)) as ReadonlyMap<string, unknown>);
    },
    async getWithMetadata(keys: string | string[], options?: unknown): Promise<unknown> {
      if (typeof keys === "string") {
        // There is no cache in front of the values, so none was hit or missed.
        return { ...(await kv.getWithMetadata(inside(keys), options as never)), cacheStatus: null };
      }
      return each(
        (await kv.getWithMetadata(keys.map(inside), options as never)) as ReadonlyMap<string, unknown>,
      );
    },
    async put(
      key: string,
      value: string | ArrayBuffer | ArrayBufferView | ReadableStream,
      options?: KVNamespacePutOptions,
    ) {
      // KV refuses a stream of unknown length. A value is small enough to read whole.
      const whole = value instanceof ReadableStream ? await new Response(value).arrayBuffer() : value;
      await kv.put(inside(key), whole, options);
    },
    async list(options: KVNamespaceListOptions = {}): Promise<KVNamespaceListResult<unknown>> {
      const found = await kv.list({ ...options, prefix: inside(options?.prefix ?? "") });
      const keys = found.keys.map((key) => ({ ...key, name: key.name.slice(prefix.length) }));
      return { ...found, keys };
    },
    async delete(key: string | string[]): Promise<void> {
      for (const each of typeof key === "string" ? [key] : key) await kv.delete(inside(each));
    },
  };
}

export type Namespace = ReturnType<typeof namespaceOf>;

/** The end that a version's client calls (client.ts). */
export class KvBinding extends WorkerEntrypoint<Env, Props> {
  get(...args: Parameters<Namespace["get"]>) {
    return this.#namespace.get(...args);
  }

  getWithMetadata(...args: Parameters<Namespace["getWithMetadata"]>) {
    return this.#namespace.getWithMetadata(...args);
  }

  put(...args: Parameters<Namespace["put"]>) {
    return this.#namespace.put(...args);
  }

  list(...args: Parameters<Namespace["list"]>) {
    return this.#namespace.list(...args);
  }

  delete(...args: Parameters<Namespace["delete"]>) {
    return this.#namespace.delete(...args);
  }

  get #namespace(): Namespace {
    return namespaceOf(this.env.SLUICE_DATA, this.ctx.props.namespace);
  }
}
