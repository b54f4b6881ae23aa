/**
 * What this isolate sees of rollouts: for each client its first answer, by version. Collected after the answer and sent at most
 * once a second, behind a request. Bounded in memory.
 */
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { hashKey, prepareSeed, type Seed } from "../router/hash.ts";
import type { ObserverPort, Seen } from "../router/ports.ts";
import { ClientSet } from "./clients.ts";
import type { Observation } from "./records.ts";

/** Takes observations to the Worker's registry. */
type SendObservations = (
  worker: string,
  rollout: string,
  observations: readonly Observation[],
) => Promise<void>;

interface Watched {
  readonly rollout: string;
  readonly seed: Seed;
  readonly clients: ClientSet;
  /** Requests without a key, by the prefix of their address. */
  readonly prefixes: Map<string, number>;
  /** Versions that this isolate has had a first answer of: that one may have had to warm up. */
  readonly warm: Set<string>;
  /** When something was seen last, in ms since the epoch. */
  usedAt: number;
  pending: Observation[];
  isSending: boolean;
}

export class Observer implements ObserverPort {
  readonly #send: SendObservations;
  readonly #watched = new Map<string, Watched>();

  constructor(send: SendObservations) {
    this.#send = send;
  }

  observe(
    { split, decision, key, address, status, ms }: Seen,
    ctx: Pick<ExecutionContext, "waitUntil">,
  ): void {
    const { version, reason } = decision;
    const { worker, rollout } = split.record;
    if (rollout === undefined || (reason !== "key" && reason !== "random")) return;
    const watched = this.#of(worker, rollout.id);
    if (!watched.warm.has(version.version_id)) {
      watched.warm.add(version.version_id);
      return;
    }
    const hash = key === undefined ? null : hashKey(watched.seed, key);
    if (hash === null ? !isWithinCap(watched.prefixes, address) : !watched.clients.admit(hash)) return;
    if (watched.pending.length >= LIMITS.rollouts.maxObservations) return;
    const isCandidate = version.version_id === rollout.candidate;
    watched.pending.push([hash, isCandidate, status >= 500, ms, version.percentage]);
    if (watched.isSending) return;
    watched.isSending = true;
    ctx.waitUntil(this.#sendSoon(worker, watched));
  }

  #of(worker: string, rollout: string): Watched {
    const held = this.#watched.get(worker);
    const usedAt = Date.now();
    if (held?.rollout === rollout) {
      held.usedAt = usedAt;
      return held;
    }
    // Rollouts end without a word to those who watch.
    for (const [name, old] of this.#watched) {
      if (usedAt - old.usedAt > LIMITS.rollouts.forgetWatchedMs) this.#watched.delete(name);
    }
    const watched: Watched = {
      rollout,
      seed: prepareSeed(rollout),
      clients: new ClientSet(LIMITS.rollouts.observedClients),
      prefixes: new Map(),
      warm: new Set(),
      usedAt,
      pending: [],
      isSending: false,
    };
    this.#watched.set(worker, watched);
    return watched;
  }

  async #sendSoon(worker: string, watched: Watched): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, LIMITS.rollouts.observeMs));
    const observations = watched.pending;
    watched.pending = [];
    watched.isSending = false;
    try {
      await this.#send(worker, watched.rollout, observations);
    } catch (error) {
      log("warn", "observations-lost", { worker, count: observations.length, why: String(error) });
    }
  }
}

/** Whether a request without a key counts: nobody's many requests are everybody's experience. */
function isWithinCap(prefixes: Map<string, number>, address: string | undefined): boolean {
  if (address === undefined) return true;
  const prefix = prefixOf(address);
  const count = prefixes.get(prefix) ?? 0;
  if (
    count >= LIMITS.rollouts.observationsPerPrefix ||
    (count === 0 && prefixes.size >= LIMITS.rollouts.observedClients)
  )
    return false;
  prefixes.set(prefix, count + 1);
  return true;
}

/** /24 of IPv4, /48 of IPv6. */
function prefixOf(address: string): string {
  const separator = address.includes(":") ? ":" : ".";
  return address.split(separator).slice(0, 3).join(separator);
}
