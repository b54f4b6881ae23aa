/**
 * Which loaded isolates stay, and which are due to be unloaded. Pure but for the isolates that it holds: the caller
 * passes the time in (ms since the epoch) and does the unloading.
 */
import { LIMITS } from "../lib/limits.ts";

/** An isolate that the loader has, or is about to have. */
export interface Resident {
  readonly worker: string;
  /** Its name, as in versions/placement.ts: a version runs in one isolate, or also in a baseline. */
  readonly instance: string;
  /** Whether its events are traced. It then runs beside the one that it replaces, while somebody tails the Worker. */
  readonly tailed: boolean;
  /** When it may be unloaded; undefined while a deployment needs it. */
  dueAt: number | undefined;
  /** Whether it waits for the deployment that it was loaded for, rather than for its unloading. */
  prepared: boolean;
}

/** An isolate to unload, as it was listed: `take` says whether that still holds. */
export interface Due<Isolate extends Resident> {
  readonly name: string;
  readonly isolate: Isolate;
  readonly dueAt: number | undefined;
}

/** Reserved for a deployment. Twice as long as a preparation may take, since the deployment may never be made. */
export function reserve(now: number): Pick<Resident, "prepared" | "dueAt"> {
  return { prepared: true, dueAt: now + 2 * LIMITS.loading.prepareMs };
}

export class Residents<Isolate extends Resident> {
  /** By loader name. */
  readonly #isolates = new Map<string, Isolate>();
  /** The isolates of each Worker's deployment, once this process was told of it. */
  readonly #kept = new Map<string, ReadonlySet<string>>();

  add(name: string, isolate: Isolate): void {
    this.#isolates.set(name, isolate);
  }

  remove(name: string): void {
    this.#isolates.delete(name);
  }

  of(worker: string): Isolate[] {
    return [...this.#isolates.values()].filter((isolate) => isolate.worker === worker);
  }

  /** Reserves an isolate that would otherwise be unloaded before its deployment is published. */
  reserve(instance: string, now: number): void {
    for (const isolate of this.#isolates.values()) {
      if (isolate.instance === instance && isolate.dueAt !== undefined) Object.assign(isolate, reserve(now));
    }
  }

  /** Drains the isolates that were reserved for a deployment that is not made. */
  giveUp(instances: readonly string[], now: number): void {
    for (const isolate of this.#isolates.values()) {
      if (isolate.prepared && instances.includes(isolate.instance))
        leave(isolate, now + LIMITS.loading.drainMs);
    }
  }

  /**
   * Decides about an isolate that a request has loaded: it stays if its Worker's deployment needs it. If
   * the deployment is not known here, it stays unless only a visit asked for it.
   *
   * @param isVisit whether a preview or a pin asked for the version, not the deployment
   */
  release(isolate: Isolate, isVisit: boolean, now: number): void {
    const kept = this.#kept.get(isolate.worker);
    const isKept = kept === undefined ? !isVisit : kept.has(isolate.instance);
    if (isKept) stay(isolate);
    else leave(isolate, now + (isVisit ? LIMITS.loading.visitMs : LIMITS.loading.drainMs));
  }

  /** Decides about a traced isolate that was just loaded: the tail may have ended during the load. */
  releaseTraced(isolate: Isolate, isTailed: boolean, now: number): void {
    if (isTailed) stay(isolate);
    else leave(isolate, now);
  }

  /**
   * Drains a Worker's traced isolates, because its last tail has ended.
   *
   * @returns those isolates
   */
  endTail(worker: string, now: number): Isolate[] {
    const traced = this.of(worker).filter(({ tailed }) => tailed);
    for (const isolate of traced) isolate.dueAt ??= now + LIMITS.loading.drainMs;
    return traced;
  }

  /**
   * Takes in a Worker's new deployment: its isolates stay, the Worker's others drain. One that drains already
   * keeps its time.
   *
   * @param instances none where the Worker was deleted
   * @param isTailed whether somebody tails the Worker: otherwise its traced isolates drain too
   */
  retain(worker: string, instances: ReadonlySet<string>, isTailed: boolean, now: number): void {
    if (instances.size > 0) this.#kept.set(worker, instances);
    else this.#kept.delete(worker);
    for (const isolate of this.of(worker)) {
      if (instances.has(isolate.instance) && (isTailed || !isolate.tailed)) stay(isolate);
      else isolate.dueAt ??= now + LIMITS.loading.drainMs;
    }
  }

  /** How many isolates are to be unloaded sooner or later, those reserved for a deployment included. */
  get leaving(): number {
    return this.#leaving().length;
  }

  /** Whether more isolates drain than may do so at once. */
  get crowded(): boolean {
    return excess(this.#leaving()) > 0;
  }

  /** What to unload now: the isolates whose time has come, and the earliest of those that drain beyond the limit. */
  due(now: number): Due<Isolate>[] {
    const leaving = this.#leaving().sort((x, y) => (x.dueAt ?? 0) - (y.dueAt ?? 0));
    let tooMany = excess(leaving);
    return leaving.filter(({ isolate, dueAt = 0 }) => dueAt <= now || (!isolate.prepared && tooMany-- > 0));
  }

  /**
   * Removes an isolate that `due` listed.
   *
   * @returns false if it must not be unloaded any longer: a deployment needs it again, or another sweep was faster
   */
  take({ name, isolate, dueAt }: Due<Isolate>): boolean {
    if (this.#isolates.get(name) !== isolate || isolate.dueAt !== dueAt) return false;
    return this.#isolates.delete(name);
  }

  #leaving(): Due<Isolate>[] {
    return [...this.#isolates]
      .map(([name, isolate]) => ({ name, isolate, dueAt: isolate.dueAt }))
      .filter(({ dueAt }) => dueAt !== undefined);
  }
}

function stay(isolate: Resident): void {
  Object.assign(isolate, { prepared: false, dueAt: undefined });
}

function leave(isolate: Resident, dueAt: number): void {
  Object.assign(isolate, { prepared: false, dueAt });
}

function excess(leaving: readonly Due<Resident>[]): number {
  return leaving.filter(({ isolate }) => !isolate.prepared).length - LIMITS.loading.maxDraining;
}
