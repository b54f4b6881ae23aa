/**
 * What one process sees of one rollout: visits, first failures and new clients, collected into reports. Pure: the time is
 * passed in, and nothing is sent. Bounded in memory; the work for a request does not depend on the number of clients.
 */
import { LIMITS } from "../lib/limits.ts";
import type { Observed } from "../router/split.ts";
import { ClientSet } from "./clients.ts";
import { PrefixCap } from "./prefixes.ts";
import type {
  FailureKind,
  ObservedArm,
  ObservedClient,
  ObservedFailure,
  ObservedSplit,
  ObservedVisits,
  Observations,
} from "./records.ts";

/** A client in its first `LIMITS.rollouts.visitMs`. */
interface Newcomer {
  readonly hash: number | null;
  readonly arm: "candidate" | "reference";
  readonly split: ObservedSplit;
  readonly since: number;
  /** Its slowest answer; undefined until it has one. */
  ms: number | undefined;
  /** Its requests that have no answer yet. */
  waiting: number;
}

interface Failed {
  readonly hash: number | null;
  readonly observed: Observed;
  readonly kind: FailureKind;
}

/** A request under way. Only `Watch` reads it. */
export interface Ticket {
  readonly hash: number | null;
  readonly observed: Observed;
  readonly prefix: string | undefined;
  readonly begun: number;
  readonly newcomer: Newcomer | undefined;
  isWaiting: boolean;
  hasFailed: boolean;
}

export class Watch {
  readonly #sender: string;
  #seq = 0;
  /** The report that has not been acknowledged yet. */
  #sent: Observations | undefined;
  /** When the last visit of a client was counted, oldest first. */
  readonly #visitors = new Map<number, number>();
  /** Clients whose failure was reported. */
  readonly #failed = new ClientSet(LIMITS.rollouts.observedClients);
  /** Clients that were new once in this stage. */
  #known = new ClientSet(LIMITS.rollouts.observedClients);
  #percentage = 0;
  /** Clients that are new, oldest first. */
  readonly #newcomers = new Map<number, Newcomer>();
  /** Requests without an answer, oldest first. */
  readonly #waiting = new Set<Ticket>();
  readonly #prefixes = { visits: new PrefixCap(), failures: new PrefixCap(), clients: new PrefixCap() };
  /** When the count of visits by prefix began. */
  #prefixesSince = Number.NEGATIVE_INFINITY;
  #visits = new Map<ObservedSplit, Map<ObservedArm, number>>();
  #failures: ObservedFailure[] = [];
  #clients: ObservedClient[] = [];
  /** The latest time seen, and what to add to a clock that went back. */
  #latest = Number.NEGATIVE_INFINITY;
  #behind = 0;

  /** @param sender a name that no other sender of reports has */
  constructor(sender: string) {
    this.#sender = sender;
  }

  /** Whether there is nothing to wait for and nothing to report. */
  get isIdle(): boolean {
    return (
      this.#waiting.size === 0 && this.#newcomers.size === 0 && !this.#hasNews && this.#sent === undefined
    );
  }

  /**
   * A request has come. Counts the visit.
   *
   * @param hash of the client's key, 32 bits; null where the request has none
   * @param now in ms, of any clock
   * @param prefix network of the client, for requests without a key; undefined where it is not known
   */
  begin(hash: number | null, observed: Observed, now: number, prefix?: string): Ticket {
    const begun = this.#time(now);
    const newcomer = this.#newcomerOf(hash, observed, begun, prefix);
    if (newcomer !== undefined) newcomer.waiting++;
    const ticket: Ticket = {
      hash,
      observed,
      prefix,
      begun,
      newcomer,
      isWaiting: true,
      hasFailed: false,
    };
    if (this.#waiting.size < LIMITS.rollouts.maxObservations) this.#waiting.add(ticket);
    if (this.#isVisit(ticket)) this.#countVisit(observed);
    return ticket;
  }

  /** The request's answer has begun. @param ms time until then */
  answer(ticket: Ticket, ms: number, now: number): void {
    this.#time(now);
    if (!ticket.isWaiting) return;
    this.#stopWaiting(ticket, ms);
  }

  /** The request has failed. Counts once for each client; `end` or `answer` may follow. */
  fail(ticket: Ticket, kind: FailureKind, now: number): void {
    this.#time(now);
    if (ticket.hasFailed) return;
    ticket.hasFailed = true;
    const { hash, prefix, observed } = ticket;
    this.#report({ hash, observed, kind }, prefix);
  }

  /** A client has failed, as something else than one of its requests shows. Counts like any failure of the client. */
  note(hash: number, observed: Observed, kind: FailureKind, now: number): void {
    this.#time(now);
    this.#report({ hash, observed, kind });
  }

  /** The request is over. Without an answer before, its time counts for nothing: the client has gone, or nobody answered. */
  end(ticket: Ticket): void {
    if (ticket.isWaiting) this.#stopWaiting(ticket, undefined);
  }

  /** To be called about once a second. Finds requests without an answer, and clients that are not new any more. */
  sweep(now: number, timeoutMs: number): void {
    const time = this.#time(now);
    for (const ticket of this.#waiting) {
      if (time - ticket.begun < timeoutMs) break;
      this.fail(ticket, "timeout", now);
      this.#stopWaiting(ticket, timeoutMs);
    }
    for (const [hash, newcomer] of this.#newcomers) {
      if (time - newcomer.since < LIMITS.rollouts.visitMs) break;
      // A request of its first seconds may still be the slowest.
      if (newcomer.waiting > 0) continue;
      this.#newcomers.delete(hash);
      this.#meet(newcomer);
    }
    this.#forgetVisitors(time);
  }

  /**
   * The report to send; undefined where there is nothing to say. Until it is acknowledged, the same report is returned
   * again, and what comes meanwhile waits for the next one.
   */
  drain(): Observations | undefined {
    if (this.#sent !== undefined || !this.#hasNews) return this.#sent;
    const visits: ObservedVisits[] = [];
    for (const [{ share, percentage }, arms] of this.#visits) {
      for (const [arm, count] of arms) visits.push({ arm, visits: count, share, percentage });
    }
    this.#sent = {
      sender: this.#sender,
      seq: this.#seq++,
      visits,
      failures: this.#failures,
      clients: this.#clients,
    };
    this.#visits = new Map();
    this.#failures = [];
    this.#clients = [];
    return this.#sent;
  }

  /** The report has arrived. */
  acknowledge({ seq }: Observations): void {
    if (this.#sent?.seq === seq) this.#sent = undefined;
  }

  get #hasNews(): boolean {
    return this.#visits.size > 0 || this.#failures.length > 0 || this.#clients.length > 0;
  }

  /** The time that passes here. A clock that goes back stands still. */
  #time(now: number): number {
    const time = now + this.#behind;
    if (time < this.#latest) this.#behind += this.#latest - time;
    else this.#latest = time;
    return this.#latest;
  }

  #newcomerOf(
    hash: number | null,
    { arm, split }: Observed,
    since: number,
    prefix: string | undefined,
  ): Newcomer | undefined {
    if (arm !== "candidate" && arm !== "reference") return undefined;
    if (hash !== null) {
      const held = this.#newcomers.get(hash);
      // Between two sweeps, its first seconds may have passed. A client that has changed its arm is no newcomer there.
      if (held !== undefined) {
        const isNew = since - held.since < LIMITS.rollouts.visitMs && held.arm === arm;
        return isNew ? held : undefined;
      }
    }
    if (this.#newcomers.size >= LIMITS.rollouts.maxObservations) return undefined;
    if (split.percentage !== this.#percentage) {
      this.#percentage = split.percentage;
      this.#known = new ClientSet(LIMITS.rollouts.observedClients);
    }
    if (!(hash === null ? this.#prefixes.clients.admit(prefix) : this.#known.admit(hash))) return undefined;
    const newcomer: Newcomer = { hash, arm, split, since, ms: undefined, waiting: 0 };
    if (hash !== null) this.#newcomers.set(hash, newcomer);
    return newcomer;
  }

  #isVisit({ hash, begun, prefix }: Ticket): boolean {
    if (hash === null) {
      if (begun - this.#prefixesSince >= LIMITS.rollouts.visitMs) {
        // Failures as well: a network whose clients fail now and then must not make the gate blind to a candidate that
        // fails for all of them later.
        for (const cap of Object.values(this.#prefixes)) cap.clear();
        this.#prefixesSince = begun;
      }
      return this.#prefixes.visits.admit(prefix);
    }
    const last = this.#visitors.get(hash);
    if (last !== undefined && begun - last < LIMITS.rollouts.visitMs) return false;
    // The newest is the last one of the map.
    this.#visitors.delete(hash);
    this.#visitors.set(hash, begun);
    if (this.#visitors.size > LIMITS.rollouts.observedClients) this.#forgetOldest();
    return true;
  }

  #countVisit({ arm, split }: Observed): void {
    let arms = this.#visits.get(split);
    if (arms === undefined) {
      arms = new Map();
      this.#visits.set(split, arms);
    }
    arms.set(arm, (arms.get(arm) ?? 0) + 1);
  }

  /** Many at once: finding the first entry of a map takes as long as entries were deleted before it. */
  #forgetOldest(): void {
    let left = LIMITS.rollouts.observedClients / 2;
    for (const hash of this.#visitors.keys()) {
      if (left-- <= 0) break;
      this.#visitors.delete(hash);
    }
  }

  #forgetVisitors(time: number): void {
    for (const [hash, last] of this.#visitors) {
      if (time - last < LIMITS.rollouts.visitMs) break;
      this.#visitors.delete(hash);
    }
  }

  #report({ hash, observed, kind }: Failed, prefix?: string): void {
    // A client that finds no room here is reported with its next failure.
    if (this.#failures.length >= LIMITS.rollouts.maxObservations) return;
    const counts = hash === null ? this.#prefixes.failures.admit(prefix) : this.#failed.admit(hash);
    if (!counts) return;
    const { share, percentage } = observed.split;
    this.#failures.push({ hash, arm: observed.arm, kind, share, percentage });
  }

  /** @param ms until its answer; undefined where it will get none */
  #stopWaiting(ticket: Ticket, ms: number | undefined): void {
    ticket.isWaiting = false;
    this.#waiting.delete(ticket);
    const { newcomer } = ticket;
    if (newcomer === undefined) return;
    newcomer.waiting--;
    if (ms !== undefined) newcomer.ms = Math.max(newcomer.ms ?? 0, ms);
    if (newcomer.hash === null) this.#meet(newcomer);
  }

  #meet({ hash, arm, split, ms }: Newcomer): void {
    if (ms === undefined || this.#clients.length >= LIMITS.rollouts.maxObservations) return;
    const { share, percentage } = split;
    this.#clients.push({ hash, arm, ms, share, percentage });
  }
}
