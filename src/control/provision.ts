/** Looks up what an upload's bindings refer to, and makes it where it is not there yet. */
import { accountOf } from "../account/registry.ts";
import type { Env } from "../env.ts";
import type { SluiceError } from "../errors.ts";
import { err, ok, type Result } from "../result.ts";
import type { Lifecycle } from "../versions/classes.ts";
import type { WorkerOverview } from "../versions/registry.ts";
import type { Binding, InheritBinding, UploadedBinding } from "../versions/types.ts";

/**
 * @param lifecycle the Worker's own classes, the upload's migrations applied
 */
export async function provision(
  env: Env,
  worker: string,
  bindings: readonly UploadedBinding[],
  lifecycle: Lifecycle,
): Promise<Result<readonly (Binding | InheritBinding)[], SluiceError>> {
  const resolved: (Binding | InheritBinding)[] = [];
  for (const binding of bindings) {
    const found = await provisionOne(env, worker, binding, lifecycle);
    if (!found.ok) return found;
    resolved.push(found.value);
  }
  return ok(resolved);
}

async function provisionOne(
  env: Env,
  worker: string,
  binding: UploadedBinding,
  lifecycle: Lifecycle,
): Promise<Result<Binding | InheritBinding, SluiceError>> {
  switch (binding.type) {
    case "kv_namespace":
      await accountOf(env).ensure("kv", binding.namespace_id, `${worker}-${binding.name}`);
      return ok(binding);
    case "r2_bucket":
      await accountOf(env).ensure("r2", binding.bucket_name, binding.bucket_name);
      return ok(binding);
    case "queue":
      await ensureQueue(env, binding.queue_name);
      return ok(binding);
    case "d1":
      await accountOf(env).ensure("d1", binding.id, `${worker}-${binding.name}`);
      return ok(binding);
    case "service": {
      if (binding.service === worker || (await overviewOf(env, binding.service)) !== undefined) {
        return ok(binding);
      }
      return err({ reason: "service-not-found", name: binding.name, service: binding.service });
    }
    case "durable_object_namespace": {
      const { name, class_name, script_name = worker } = binding;
      const classes =
        script_name === worker
          ? lifecycle.classes
          : ((await overviewOf(env, script_name))?.lifecycle.classes ?? []);
      const found = classes.find((candidate) => candidate.class_name === class_name);
      if (found === undefined)
        return err({ reason: "class-not-found", name, class_name, worker: script_name });
      return ok({ ...binding, namespace_id: found.namespace_id });
    }
    default:
      return ok(binding);
  }
}

async function ensureQueue(env: Env, name: string): Promise<void> {
  const account = accountOf(env);
  if ((await account.named("queue", name)) !== undefined) return;
  await account.create("queue", name, crypto.randomUUID().replaceAll("-", ""));
}

async function overviewOf({ REGISTRY }: Env, worker: string): Promise<WorkerOverview | undefined> {
  return (await REGISTRY.get(REGISTRY.idFromName(worker)).overview()) as WorkerOverview | undefined;
}
