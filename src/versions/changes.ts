/**
 * The hooks of a process. All entrypoints and Durable Objects of Sluice share module state within a workerd process, so
 * code that runs a hook reaches the code that registered for it without a request.
 */
import type { Env } from "../lib/env.ts";
import type { DeploymentRecord, RoutesRecord } from "./record.ts";

/** Called for every change made in this isolate: with the new record, or null where the Worker was deleted. */
export type ReplicaListener = (worker: string, record: DeploymentRecord | null) => void;

const listeners = new Set<ReplicaListener>();

/** Changes from before the first listener registered. */
const untold = new Map<string, DeploymentRecord | null>();

/** Registers a cache of records, so that a deployment made in this isolate reaches its router at once. */
export function onReplicated(listener: ReplicaListener): void {
  listeners.add(listener);
  for (const [worker, record] of untold) listener(worker, record);
  untold.clear();
}

/** Tells the caches of this isolate, including one that registers later. */
export function notify(worker: string, record: DeploymentRecord | null): void {
  if (listeners.size === 0) untold.set(worker, record);
  for (const listener of listeners) listener(worker, record);
}

const routesListeners = new Set<(record: RoutesRecord) => void>();

/** Registers a cache of the routes and custom domains. */
export function onRoutes(listener: (record: RoutesRecord) => void): void {
  routesListeners.add(listener);
}

export function notifyRoutes(record: RoutesRecord): void {
  for (const listener of routesListeners) listener(record);
}

const flushHooks = new Set<() => Promise<void>>();

/** Registers a meter. @param flush sends its counts. Never rejects */
export function onFlush(flush: () => Promise<void>): void {
  flushHooks.add(flush);
}

/** Sends the counts that the meters of this isolate have not sent yet. */
export async function flushCounts(): Promise<void> {
  await Promise.all([...flushHooks].map((flush) => flush()));
}

/** Moves what a Worker runs in this process to the versions of its new deployment. Never rejects. */
type MoveHook = (env: Env, worker: string) => Promise<void>;

const moveHooks = new Set<MoveHook>();

/** Registers a hook that runs after each deployment. */
export function onMoved(move: MoveHook): void {
  moveHooks.add(move);
}

/** Runs those hooks. Resolves when everything has moved. */
export async function moveAll(env: Env, worker: string): Promise<void> {
  await Promise.all([...moveHooks].map((move) => move(env, worker)));
}

const drainHooks = new Set<() => void>();

/** Registers a hook that runs when the server is about to stop. */
export function onDrain(drain: () => void): void {
  drainHooks.add(drain);
}

/** Ends everything that would keep the process from stopping. */
export function drainAll(): void {
  for (const drain of drainHooks) drain();
}
