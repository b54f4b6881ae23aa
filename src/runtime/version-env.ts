/** A version's `env`: values, and channels to Sluice, which the version's client wraps in objects. Pure. */

import type { Binding, ClientBinding } from "../versions/binding-types.ts";
import type { BlobHeader } from "../versions/blob.ts";

/** The entrypoints of Sluice's Worker that channels can lead to. No version gets one to a sink, an admin or a runner. */
export type ChannelEntrypoint =
  | "AnalyticsBinding"
  | "AssetsBinding"
  | "D1Admin"
  | "DatasetAdmin"
  | "EventRunner"
  | "QueueBinding"
  | "RateLimitBinding"
  | "D1Binding"
  | "KvBinding"
  | "ObjectsBinding"
  | "R2Binding"
  | "ServiceBinding"
  | "HeldSink"
  | "RolloutSink"
  | "MetricsSink"
  | "TailSink";

/** Opens a channel to an entrypoint with these properties. May return undefined for a version that is only inspected. */
export type OpenChannel = (entrypoint: ChannelEntrypoint, props: object) => unknown;

type Header = Pick<BlobHeader, "bindings" | "version" | "tag" | "created_on" | "worker" | "assets">;

/** Binding types whose channel the client wraps in an object before the version's code runs. */
const WITH_CLIENT: ReadonlySet<Binding["type"]> = new Set([
  "kv_namespace",
  "r2_bucket",
  "d1",
  "queue",
  "analytics_engine",
  "ratelimit",
  "durable_object_namespace",
]);

/** The `env` of a version, in the form that the loader takes. */
export function toEnv(header: Header, open: OpenChannel): Record<string, unknown> {
  return Object.fromEntries(
    header.bindings.map((binding) => [binding.name, bindingValue(binding, header, open)]),
  );
}

/** The bindings that the version's client wraps. */
export function clientBindings({ bindings }: Pick<BlobHeader, "bindings">): ClientBinding[] {
  return bindings.filter(({ type }) => WITH_CLIENT.has(type));
}

function bindingValue(binding: Binding, header: Header, open: OpenChannel): unknown {
  switch (binding.type) {
    case "plain_text":
    case "secret_text":
      return binding.text;
    case "json":
      return binding.json;
    case "version_metadata":
      return { id: header.version, tag: header.tag ?? "", timestamp: header.created_on };
    case "kv_namespace":
      return open("KvBinding", { namespace: binding.namespace_id });
    case "r2_bucket":
      return open("R2Binding", { bucket: binding.bucket_name });
    case "queue":
      return open("QueueBinding", { queue: binding.queue_name });
    case "analytics_engine":
      return open("AnalyticsBinding", {
        dataset: binding.dataset ?? binding.name,
        worker: header.worker,
        version: header.version,
      });
    case "ratelimit": {
      const { limit, period } = binding.simple;
      return open("RateLimitBinding", { namespace: binding.namespace_id, limit, period });
    }
    case "assets":
      return open("AssetsBinding", { worker: header.worker, set: header.assets?.set });
    case "d1":
      return open("D1Binding", { database: binding.id });
    case "durable_object_namespace":
      return open("ObjectsBinding", {
        worker: binding.script_name ?? header.worker,
        namespace: binding.namespace_id,
      });
    case "service": {
      const { service: worker, entrypoint, props } = binding;
      return open("ServiceBinding", { worker, entrypoint, props });
    }
  }
}
