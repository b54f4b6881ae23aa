/**
 * The processes that serve traffic, for the registry: this process, or those that follow it
 * (`sluice serve --processes`). Every process loads a deployment's versions before the deployment is recorded, and has the
 * deployment before the operator gets the answer.
 */
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { notify, notifyRoutes } from "../versions/changes.ts";
import type { DeploymentRecord, RoutesRecord } from "../versions/record.ts";
import type { FollowerMessage, FollowerReply } from "./messages.ts";
import { sendMessage } from "./send.ts";

export interface Fleet {
  /** Whether every process serves. */
  ready(): Promise<boolean>;
  /**
   * Loads versions in every process that will serve them. A process that does not answer is skipped: it is down, and
   * reads the deployment when it starts.
   *
   * @returns why one of them cannot serve; undefined if all of them can
   */
  prepare(worker: string, versions: readonly string[]): Promise<string | undefined>;
  /**
   * Tells every process of a deployment; the record is null if the Worker was deleted. Never rejects.
   *
   * @returns whether every process has it. If not, publish again: a process may still serve the previous deployment
   */
  publish(worker: string, record: DeploymentRecord | null): Promise<boolean>;
  /** The same for routes and custom domains. */
  publishRoutes(record: RoutesRecord): Promise<boolean>;
  /** Has every process send its counts. One that does not answer sends them later. */
  flush(): Promise<void>;
  /** Begins or ends the tracing of a Worker's versions. A process that does not answer is skipped. */
  tail(worker: string, on: boolean): Promise<void>;
}

/**
 * @param follower this process's own `Follower`. It gets a request instead of a function call, so that versions are
 *   loaded and unloaded in requests of their own: a request keeps the isolates that it has used until it ends, and the
 *   caller may be an object that lives for days
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

/** On Cloudflare, the platform loads and unloads isolates, and every location reads deployments from KV. */
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
  // The isolates cannot be reached. They send their counts within a second or two.
  flush: async () => {},
  // The platform has a tail of its own.
  tail: async () => {},
};

interface Process {
  readonly name: string;
  readonly process: Fetcher;
}

/**
 * @param serving the processes that serve traffic
 * @param all the processes that follow deployments: this one too, since Durable Objects run here
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
  // AbortSignal.timeout would keep its request open until the deadline.
  const timer = setTimeout(() => deadline.abort(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
  try {
    return await sendMessage(process, message, deadline.signal);
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
