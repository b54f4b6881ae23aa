/**
 * The processes that serve traffic, for the registry: this process, or those that follow it
 * (`sluice serve --processes`). Every process loads a deployment's versions before the deployment is recorded, and has the
 * deployment before the operator gets the answer.
 */
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { isSafeMode } from "../lib/safe-mode.ts";
import { notify, notifyRoutes } from "../versions/changes.ts";
import { instancesIn, type Lane } from "../versions/placement.ts";
import type { DeploymentRecord, RoutesRecord, WatchedRollout } from "../versions/record.ts";
import { stableOnly, stableShares } from "../versions/safe-mode.ts";
import type { Share } from "../versions/types.ts";
import type { FollowerMessage, FollowerReply } from "./messages.ts";
import { sendMessage } from "./send.ts";
import { whenDown } from "./up.ts";

export interface Fleet {
  /** Whether every process serves. */
  ready(): Promise<boolean>;
  /**
   * Loads the versions of a deployment in every process that will run them. A process that does not answer is skipped: it is down, and
   * reads the deployment when it starts.
   *
   * @param rollout the one that the deployment will belong to: its baseline is loaded too
   * @returns why one of them cannot serve; undefined if all of them can
   */
  prepare(worker: string, shares: readonly Share[], rollout?: WatchedRollout): Promise<string | undefined>;
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
  const others = env.SLUICE_FOLLOWERS.map(({ name, lane }) => ({
    name,
    lane,
    process: (env as unknown as Readonly<Record<string, Fetcher>>)[name] as Fetcher,
  }));
  // `sluice rollback --offline` starts the process that has the registry, and none that serves.
  const isAlone = others.length === 0 && env.SLUICE_LANE === undefined;
  const fleet = processes(isAlone ? [{ name: "control", lane: undefined, process: follower }] : others);
  return isSafeMode(env) ? runningStable(fleet) : fleet;
}

/** In safe mode, processes load and serve stable versions only, whatever is deployed. */
function runningStable(fleet: Fleet): Fleet {
  return {
    ...fleet,
    prepare: (worker, shares, rollout) => fleet.prepare(worker, stableShares(shares, rollout?.candidate)),
    publish: (worker, record) => fleet.publish(worker, record && stableOnly(record)),
  };
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
  /** Undefined for a process that does everything. */
  readonly lane: Lane | undefined;
  readonly process: Fetcher;
}

function processes(all: readonly Process[]): Fleet {
  const serving = all.filter(({ lane }) => lane === undefined || lane === "traffic");
  const { acknowledgeMs } = LIMITS.publishing;
  const tellAll = (to: readonly Process[], message: FollowerMessage, deadlineMs: number) =>
    Promise.all(to.map((process) => tell(process, message, deadlineMs)));
  return {
    ready: async () => {
      const replies = await tellAll(serving, { type: "prepare", worker: "", instances: [] }, acknowledgeMs);
      return replies.every((reply) => reply !== undefined);
    },
    prepare: async (worker, shares, rollout) => {
      const deadline = LIMITS.loading.prepareMs + acknowledgeMs;
      const replies = await Promise.all(
        all
          // Durable Objects load what they run when they are called.
          .filter(({ lane }) => lane !== "objects")
          .map((process) => ({ process, instances: instancesIn(process.lane, shares, rollout) }))
          .filter(({ instances }) => instances.length > 0)
          .map(({ process, instances }) => tell(process, { type: "prepare", worker, instances }, deadline)),
      );
      return replies.find((reply) => typeof reply?.why === "string")?.why ?? undefined;
    },
    publish: async (worker, record) => {
      const replies = await tellAll(all, { type: "publish", worker, record }, acknowledgeMs);
      return replies.every((reply) => reply !== undefined);
    },
    publishRoutes: async (record) => {
      const replies = await tellAll(serving, { type: "routes", record }, acknowledgeMs);
      return replies.every((reply) => reply !== undefined);
    },
    flush: async () => {
      await tellAll(serving, { type: "flush" }, acknowledgeMs);
    },
    tail: async (worker, on) => {
      await tellAll(all, { type: "tail", worker, on }, LIMITS.loading.prepareMs);
    },
  };
}

/** @returns undefined if the process does not answer. One that is known to be down is not waited for. */
async function tell(
  { name, process }: Process,
  message: FollowerMessage,
  deadlineMs: number,
): Promise<FollowerReply | undefined> {
  const end = new AbortController();
  // AbortSignal.timeout would keep its request open until the deadline.
  const timer = setTimeout(() => end.abort(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
  const down = whenDown(name, end.signal).then(() => {
    throw new Error("it is being restarted");
  });
  // Left behind when the answer comes first.
  down.catch(() => {});
  try {
    return await Promise.race([sendMessage(process, message, end.signal), down]);
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
    end.abort();
  }
}
