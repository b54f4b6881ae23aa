/** What an upload's bindings refer to: looked up before the upload is validated, created afterwards. */
import { accountOf } from "../../account/registry.ts";
import type { Env } from "../../lib/env.ts";
import type { SluiceError } from "../../lib/errors.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { registryOf } from "../../registry/index.ts";
import type { Binding, InheritBinding, UploadedBinding } from "../../versions/binding-types.ts";
import type { Lifecycle } from "../../versions/classes.ts";

/**
 * Completes the bindings that refer to Workers; refused where such a Worker or class is missing. Changes nothing.
 *
 * @param lifecycle the Worker's own classes after the upload's migrations
 */
export async function lookUp(
  env: Env,
  worker: string,
  bindings: readonly UploadedBinding[],
  lifecycle: Lifecycle,
): Promise<Result<readonly (Binding | InheritBinding)[], SluiceError>> {
  const resolved: (Binding | InheritBinding)[] = [];
  for (const binding of bindings) {
    const found = await lookUpOne(env, worker, binding, lifecycle);
    if (!found.ok) return found;
    resolved.push(found.value);
  }
  return ok(resolved);
}

async function lookUpOne(
  env: Env,
  worker: string,
  binding: UploadedBinding,
  lifecycle: Lifecycle,
): Promise<Result<Binding | InheritBinding, SluiceError>> {
  switch (binding.type) {
    case "service": {
      const { name, service } = binding;
      const found = service === worker || (await registryOf(env, service).overview()) !== undefined;
      return found ? ok(binding) : err({ reason: "service-not-found", name, service });
    }
    case "durable_object_namespace": {
      const { name, class_name, script_name = worker } = binding;
      const owner =
        script_name === worker ? lifecycle : (await registryOf(env, script_name).overview())?.lifecycle;
      const found = owner?.classes.find((candidate) => candidate.class_name === class_name);
      if (found !== undefined) return ok({ ...binding, namespace_id: found.namespace_id });
      return err({ reason: "class-not-found", name, class_name, worker: script_name });
    }
    default:
      return ok(binding);
  }
}

/** Creates the resources that bindings name, where they do not exist. */
export async function provision(env: Env, worker: string, bindings: readonly Binding[]): Promise<void> {
  const account = accountOf(env);
  for (const binding of bindings) {
    switch (binding.type) {
      case "kv_namespace":
        await account.ensure("kv", binding.namespace_id, `${worker}-${binding.name}`);
        break;
      case "r2_bucket":
        await account.ensure("r2", binding.bucket_name, binding.bucket_name);
        break;
      case "d1":
        await account.ensure("d1", binding.id, `${worker}-${binding.name}`);
        break;
      case "queue":
        await account.ensureNamed("queue", binding.queue_name);
        break;
    }
  }
}
