/** Starts an upload once, before any of it is stored. */
import type { Env } from "../../lib/env.ts";
import type { SluiceError } from "../../lib/errors.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { inspect } from "../../runtime/inspect.ts";
import type { Inspection, ValidatorReply } from "../../versions/types.ts";

export async function validate(
  env: Env,
  blob: Uint8Array<ArrayBuffer>,
): Promise<Result<Inspection, SluiceError>> {
  const reply = env.VALIDATOR === undefined ? await here(env, blob) : await elsewhere(env.VALIDATOR, blob);
  if ("fault" in reply) return err({ reason: "validator-unavailable", detail: reply.fault });
  if (!reply.ok) return err({ reason: "startup-failed", message: reply.message });
  return ok({ ...reply.inspection, startup_time_ms: reply.startup_time_ms });
}

async function elsewhere(validator: Fetcher, blob: Uint8Array<ArrayBuffer>): Promise<ValidatorReply> {
  try {
    const response = await validator.fetch("http://validator/", { method: "POST", body: blob });
    return await response.json<ValidatorReply>();
  } catch (error) {
    return { fault: `the validating process does not answer (${error})` };
  }
}

async function here(env: Env, blob: Uint8Array<ArrayBuffer>): Promise<ValidatorReply> {
  const started = Date.now();
  const outcome = await inspect(env.LOADER, blob.buffer, () => undefined);
  return { ...outcome, startup_time_ms: Date.now() - started };
}
