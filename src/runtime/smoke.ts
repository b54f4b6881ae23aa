/** Sends a request to a version where candidates run, as a preview of the version would get it. No deployment need have it. */
import type { Env } from "../lib/env.ts";
import { shortId } from "../lib/ids.ts";
import { isSafeMode } from "../lib/safe-mode.ts";
import type { VersionHandler, VersionSource } from "../router/ports.ts";
import { previewLabel } from "../versions/preview.ts";
import type { FollowerReply, SmokeAnswer, SmokeCall } from "./messages.ts";
import { sendMessage } from "./send.ts";

/** Time within which an answer must begin. */
const SMOKE_MS = 10_000;
/** Time on top of it for the way to the process and back. */
const DELIVERY_MS = 1_000;

/** Never rejects. */
export type SendSmoke = (call: SmokeCall) => Promise<SmokeAnswer>;

/** @param follower this process's own `Follower`, for a server of one process */
export function smokeSender(env: Env, follower: Fetcher): SendSmoke {
  const { SLUICE_FOLLOWERS: others = [] } = env;
  const found = others.find(({ lane }) => lane === "canary") ?? others.find(({ lane }) => lane !== "objects");
  const bindings = env as unknown as Readonly<Record<string, Fetcher>>;
  const process = found === undefined ? follower : (bindings[found.name] as Fetcher);
  return async (call) => {
    if (isSafeMode(env)) return { why: "does not run in safe mode" };
    const end = new AbortController();
    // AbortSignal.timeout would keep its request open until the deadline.
    const timer = setTimeout(() => end.abort(new Error("no answer in time")), SMOKE_MS + DELIVERY_MS);
    try {
      const { status, why } = await sendMessage(process, { type: "smoke", ...call }, end.signal);
      return status === undefined ? { why: why ?? "gave no answer" } : { status };
    } catch (error) {
      return { why: `was lost with its process, which ended or did not answer (${error})` };
    } finally {
      clearTimeout(timer);
    }
  };
}

/** Sends the request in the process that runs the version. Never rejects. */
export async function answerSmoke(
  source: VersionSource,
  { worker, version, method, path }: SmokeCall,
  env: Env,
  ctx: ExecutionContext,
): Promise<FollowerReply> {
  const late = new AbortController();
  const { promise: tooLate, resolve } = Promise.withResolvers<FollowerReply>();
  const timer = setTimeout(() => {
    resolve({ why: `did not answer within ${SMOKE_MS / 1000} s` });
    late.abort();
  }, SMOKE_MS);
  const host = `${previewLabel(shortId(version), worker)}.${env.SLUICE_DOMAIN}`;
  const ask = async (): Promise<FollowerReply> => {
    let handler: VersionHandler;
    try {
      handler = source.ready(version) ?? (await source.load(worker, version, true));
    } catch (error) {
      return { why: `cannot be loaded: ${messageOf(error)}` };
    }
    try {
      const request = new Request(`https://${host}${path}`, {
        method,
        redirect: "manual",
        signal: late.signal,
      });
      const { status, body } = await handler(request, env, ctx);
      await body?.cancel();
      return { why: null, status };
    } catch (error) {
      return { why: `threw an exception: ${messageOf(error)}` };
    }
  };
  try {
    return await Promise.race([ask(), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
