/**
 * The hooks of a process. Every entrypoint and Durable Object of one Worker shares module state within a workerd
 * process, so whoever registers here is told by whoever runs the hook there, without a request between them.
 */
import type { Env } from "../lib/env.ts";
import type { DeploymentRecord, RoutesRecord } from "./record.ts";

/** Told of every change that is made known here: a new record, or null where the Worker was deleted. */
export type ReplicaListener = (worker: string, record: DeploymentRecord | null) => void;

const listeners = new Set<ReplicaListener>();

/** What was made known before there was anybody to tell. */
const untold = new Map<string, DeploymentRecord | null>();

/**
 * Registers a cache of this isolate. Every entrypoint and Durable Object of one Worker shares module state within a
 * workerd process, so a deployment made here reaches the router of the same process without a wait.
 */
export function onReplicated(listener: ReplicaListener): void {
  listeners.add(listener);
  for (const [worker, record] of untold) listener(worker, record);
  untold.clear();
}

/** Tells the caches of this isolate, those made later included. */
export function notify(worker: string, record: DeploymentRecord | null): void {
  if (listeners.size === 0) untold.set(worker, record);
  for (const listener of listeners) listener(worker, record);
}

const routesListeners = new Set<(record: RoutesRecord) => void>();

/** Registers who follows routes and custom domains in this isolate. */
export function onRoutes(listener: (record: RoutesRecord) => void): void {
  routesListeners.add(listener);
}

export function notifyRoutes(record: RoutesRecord): void {
  for (const listener of routesListeners) listener(record);
}

const flushHooks = new Set<() => Promise<void>>();

/** Registers a meter of this isolate. @param flush sends what it has counted. Never rejects */
export function onFlush(flush: () => Promise<void>): void {
  flushHooks.add(flush);
}

/** Sends what the meters of this isolate have counted and not sent yet. */
export async function flushCounts(): Promise<void> {
  await Promise.all([...flushHooks].map((flush) => flush()));
}

/** Moves what a Worker has in this process to the versions of its new deployment. Never rejects. */
type MoveHook = (env: Env, worker: string) => Promise<void>;

const moveHooks = new Set<MoveHook>();

/** Registers what moves with a deployment. */
export function onMoved(move: MoveHook): void {
  moveHooks.add(move);
}

/** Resolves when all of it has moved. */
export async function moveAll(env: Env, worker: string): Promise<void> {
  await Promise.all([...moveHooks].map((move) => move(env, worker)));
}

const drainHooks = new Set<() => void>();

/** Registers what ends when the server is about to stop. */
export function onDrain(drain: () => void): void {
  drainHooks.add(drain);
}

/** Ends what would keep the process from stopping. */
export function drainAll(): void {
  for (const drain of drainHooks) drain();
}
