/** Resolves the bindings of an upload to those that are stored. Pure. */
import type { SluiceError } from "../lib/errors.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { Binding, InheritBinding } from "./binding-types.ts";

/** The binding types that an upload may use. */
const BINDING_TYPES = [
  "plain_text",
  "json",
  "secret_text",
  "version_metadata",
  "kv_namespace",
  "r2_bucket",
  "d1",
  "assets",
  "queue",
  "analytics_engine",
  "ratelimit",
  "durable_object_namespace",
  "service",
  "inherit",
] as const;

/** Alternatives to the unsupported types that people are most likely to try. */
const ADVICE: ReadonlyMap<string, string> = new Map(
  Object.entries({
    mtls_certificate: "let a proxy in front of the origin present the certificate",
    hyperdrive:
      "put the connection string into a secret and connect with it: sockets to databases work as they are",
    send_email: "send through the HTTP API of a mail service with fetch(), its key in a secret",
    ai: "call a model's HTTP API with fetch(), its key in a secret",
    ai_search: "call a search service's HTTP API with fetch()",
    vectorize: "call a vector database's HTTP API with fetch(), or keep vectors in D1",
    browser: "connect to a browser of your own over WebSocket",
    images: "transform images with WebAssembly in the Worker, or through a service with fetch()",
    workflow: "keep the steps in a Durable Object with alarms, or in a queue",
    dispatch_namespace: "bind to the Workers by name with `services`",
    pipelines: "write to a queue, whose consumer writes batches to R2",
    tail_consumer: "read the server's log",
    worker_loader: "upload the code as a Worker of its own and bind to it with `services`",
    secrets_store_secret: "set the secret on the Worker with `wrangler secret put`",
    logfwdr: "write to the console: the server's log has it",
    vpc_service: "call the service with fetch(): it is on the same network",
    vpc_network: "call the service with fetch(): it is on the same network",
    secret_key: "store the key as text with `wrangler secret put` and import it in the Worker",
  }),
);

/** The refusal of a binding whose type this release does not support. */
export function unsupportedBinding(type: string, name: string): SluiceError {
  const instead = ADVICE.get(type) ?? "reach a service on the network with fetch()";
  const advice = `remove the binding and ${instead}; this release runs ${BINDING_TYPES.join(", ")}`;
  return { reason: "unsupported", feature: `binding "${name}" of type ${type}`, advice };
}

/**
 * The bindings of a new version: the uploaded ones, with `inherit` resolved, and those kept from the previous version.
 * Secrets are always kept, whatever `keep` says: a deploy never deletes a secret.
 *
 * @param keep binding types that the upload asks to keep (`keep_bindings`)
 * @param previous bindings of the Worker's latest version; empty for the first
 */
export function resolveBindings(
  uploaded: readonly (Binding | InheritBinding)[],
  keep: readonly string[],
  previous: readonly Binding[],
): Result<readonly Binding[], SluiceError> {
  const before = new Map(previous.map((binding) => [binding.name, binding]));
  const resolved: Binding[] = [];
  const missing: string[] = [];
  for (const binding of uploaded) {
    if (binding.type !== "inherit") {
      resolved.push(binding);
      continue;
    }
    const source = before.get(binding.old_name ?? binding.name);
    if (source === undefined) missing.push(binding.name);
    else resolved.push({ ...source, name: binding.name });
  }
  if (missing.length > 0) return err({ reason: "inherit-missing", names: missing });

  const named = new Set(uploaded.map((binding) => binding.name));
  const kept = previous.filter(
    (binding) => !named.has(binding.name) && (binding.type === "secret_text" || keep.includes(binding.type)),
  );
  return ok([...resolved, ...kept]);
}

/** Secrets to set, or to delete where the value is null. */
export type SecretChanges = Readonly<Record<string, string | null>>;

/** The bindings after a change of secrets. Refuses to delete a secret that does not exist. */
export function changeSecrets(
  worker: string,
  bindings: readonly Binding[],
  changes: SecretChanges,
): Result<readonly Binding[], SluiceError> {
  for (const [name, text] of Object.entries(changes)) {
    const existing = bindings.find((binding) => binding.name === name);
    if (text === null && existing?.type !== "secret_text") {
      return err({ reason: "secret-not-found", worker, name });
    }
    if (text !== null && existing !== undefined && existing.type !== "secret_text") {
      return err({
        reason: "upload-invalid",
        detail: `"${name}" is already a ${existing.type} binding; choose another name or remove that binding first`,
      });
    }
  }
  const others = bindings.filter((binding) => !Object.hasOwn(changes, binding.name));
  const set = Object.entries(changes).flatMap(([name, text]): Binding[] =>
    text === null ? [] : [{ type: "secret_text", name, text }],
  );
  return ok([...others, ...set]);
}

/** A binding as the API shows it: a secret without its value. */
export function redact(binding: Binding): Record<string, unknown> {
  return binding.type === "secret_text" ? { type: binding.type, name: binding.name } : { ...binding };
}
