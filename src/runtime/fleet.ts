/**
 * The processes that serve traffic, as the registry sees them: this one, or those that follow it
 * (`sluice serve --processes`). A deployment is prepared in all of them before it is recorded, and all of them have it
 * before the operator has the answer.
 */
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { notify, notifyRoutes } from "../versions/changes.ts";
import type { DeploymentRecord, RoutesRecord } from "../versions/record.ts";
import type { FollowerMessage, FollowerReply } from "./messages.ts";

export const FOLLOWER_URL = "http://follower/";

export interface Fleet {
  /** Whether every process serves. */
  ready(): Promise<boolean>;
  /**
   * Loads versions wherever they will serve. A process that does not answer is passed over: it is down, and
   * reads the deployment when it starts.
   *
   * @returns why one of them cannot serve; undefined where all of them can
   */
  prepare(worker: string, versions: readonly string[]): Promise<string | undefined>;
  /**
   * Makes the change known; the record is null where the Worker was deleted. Never rejects.
   *
   * @returns whether every process has it. One that was silent may serve the deployment before, so it is to be told again
   */
  publish(worker: string, record: DeploymentRecord | null): Promise<boolean>;
  /** The same for routes and custom domains. */
  publishRoutes(record: RoutesRecord): Promise<boolean>;
  /** Has every process send what it has counted. One that does not answer sends it later. */
  flush(): Promise<void>;
  /** Begins or ends the tracing of a Worker's versions. A process that does not answer is passed over. */
  tail(worker: string, on: boolean): Promise<void>;
}

/**
 * @param follower this process's own ear. It is asked rather than called, so that what loads or unloads a version is a
 *   request of its own: an isolate is kept for as long as the request that got hold of it lasts, and the caller may be
 *   an object that lives for days
 */
export function fleetOf(env: Env, follower: Fetcher): Fleet {
  if (env.SLUICE_FOLLOWERS === undefined) return platform;
  const others = env.SLUICE_FOLLOWERS.map((name) => ({
    name,
    process: (env as unknown as Readonly<Record<string, Fetcher>>)[name] as Fetcher,
  }));
  const own = { name: "this process", process: follower };
  return others.length > 0 ? processes(others, [...others, own]) : processes([own], [own]);
}

/** Cloudflare loads and unloads isolates as requests come, and a KV write takes its time to be seen everywhere. */
const platform: Fleet = {
  ready: async () => true,
  prepare: async () => undefined,
  publish: async (worker, record) => {
    notify(worker, record);
    return true;
  },
  publishRoutes: async (record) => {
    notifyRoutes(record);
    return true;
  },
  // Its isolates cannot be asked: what they counted comes within a second or two.
  flush: async () => {},
  // The platform has a tail of its own.
  tail: async () => {},
};

interface Process {
  readonly name: string;
  readonly process: Fetcher;
}

/**
 * @param serving those that serve traffic
 * @param all those that follow deployments: this one too, since Durable Objects run here
 */
function processes(serving: readonly Process[], all: readonly Process[]): Fleet {
  const tellAll = (to: readonly Process[], message: FollowerMessage, deadlineMs: number) =>
    Promise.all(to.map(({ name, process }) => tell(name, process, message, deadlineMs)));
  return {
    ready: async () => {
      const replies = await tellAll(
        serving,
        { type: "prepare", worker: "", versions: [] },
        LIMITS.publishing.acknowledgeMs,
      );
      return replies.every((reply) => reply !== undefined);
    },
    prepare: async (worker, versions) => {
      const deadline = LIMITS.loading.prepareMs + LIMITS.publishing.acknowledgeMs;
      const replies = await tellAll(serving, { type: "prepare", worker, versions }, deadline);
      return replies.find((reply) => typeof reply?.why === "string")?.why ?? undefined;
    },
    publish: async (worker, record) => {
      const replies = await tellAll(
        all,
        { type: "publish", worker, record },
        LIMITS.publishing.acknowledgeMs,
      );
      return replies.every((reply) => reply !== undefined);
    },
    publishRoutes: async (record) => {
      const replies = await tellAll(serving, { type: "routes", record }, LIMITS.publishing.acknowledgeMs);
      return replies.every((reply) => reply !== undefined);
    },
    flush: async () => {
      await tellAll(serving, { type: "flush" }, LIMITS.publishing.acknowledgeMs);
    },
    tail: async (worker, on) => {
      await tellAll(all, { type: "tail", worker, on }, LIMITS.loading.prepareMs);
    },
  };
}

async function tell(
  name: string,
  process: Fetcher,
  message: FollowerMessage,
  deadlineMs: number,
): Promise<FollowerReply | undefined> {
  const deadline = new AbortController();
  // AbortSignal.timeout would keep the request it was given to until then.
  const timer = setTimeout(() => deadline.abort(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
  try {
    const response = await process.fetch(FOLLOWER_URL, {
      method: "POST",
      body: JSON.stringify(message),
      signal: deadline.signal,
    });
    return await response.json<FollowerReply>();
  } catch (error) {
    log("error", "follower-silent", {
      follower: name,
      message: message.type,
      worker: "worker" in message ? message.worker : null,
      why: String(error),
    });
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** The versions that a record keeps loaded. */
export function versionsOf(record: DeploymentRecord | null): string[] {
  return record === null ? [] : record.versions.map(({ version_id }) => version_id);
}
