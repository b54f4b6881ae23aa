/**
 * What this isolate sees of rollouts. Collects it (watch.ts) and sends it once a second behind a request, each report until
 * it has arrived.
 */
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { hashKey, prepareSeed, type Seed } from "../router/hash.ts";
import {
  type Arrival,
  type ObserverPort,
  type Sighting,
  startOf,
  VersionLost,
  VersionUnavailable,
} from "../router/ports.ts";
import { OUTCOME_HEADER } from "../router/signals.ts";
import type { Observed } from "../router/split.ts";
import { onFlush } from "../versions/changes.ts";
import type { WatchedRollout } from "../versions/record.ts";
import type { FailureRules } from "../versions/types.ts";
import { watchBody } from "./bodies.ts";
import { prefixOf } from "./prefixes.ts";
import type { Observations } from "./records.ts";
import { type Ticket, Watch } from "./watch.ts";

/** Takes observations to the Worker's registry. */
export type SendObservations = (worker: string, rollout: string, observations: Observations) => Promise<void>;

/** What a version said of a client. */
export interface BadOutcome {
  readonly worker: string;
  readonly rollout: WatchedRollout;
  readonly observed: Observed;
  /** The client's request key. */
  readonly key: string;
}

/** Of rollouts that do not say what a failure is. */
const PLAIN: FailureRules = { statuses: [], timeout_seconds: 30, body: false, dataset: null };

interface Watched {
  readonly worker: string;
  readonly rollout: string;
  readonly rules: FailureRules;
  readonly seed: Seed;
  readonly watch: Watch;
  /** When a request was seen last, in ms since the epoch. */
  usedAt: number;
  /** Stands for the request behind which reports are sent. */
  courier: object | undefined;
  /** How often it has sent, and when it last woke up, in ms since the epoch. */
  rounds: number;
  wokeAt: number;
  /** Whether the last attempt failed: logged once, not every second. */
  isKeeping: boolean;
}

export class Observer implements ObserverPort {
  readonly #send: SendObservations;
  /** By the rollout's id. */
  readonly #watched = new Map<string, Watched>();

  constructor(send: SendObservations) {
    this.#send = send;
    onFlush(async () => {
      await Promise.all([...this.#watched.values()].map((watched) => this.#report(watched)));
    });
  }

  begin(arrival: Arrival, ctx: Pick<ExecutionContext, "waitUntil">): Sighting {
    const { decision, rollout, observed, key, address, method } = arrival;
    const now = Date.now();
    const watched = this.#of(decision.worker, rollout, now);
    const { watch, rules } = watched;
    const ticket =
      key === undefined
        ? watch.begin(null, observed, now, address && prefixOf(address))
        : watch.begin(hashKey(watched.seed, key), observed, now);
    this.#keepSending(watched, now, ctx);
    const isCompared = observed.arm === "candidate" || observed.arm === "reference";
    const watchesBody = rules.body && isCompared && method !== "HEAD";
    return new Seen({ watch, rules, ticket, now, ctx, watchesBody });
  }

  /** A version has said that a client's experience was bad, behind its answer. */
  note({ worker, rollout, observed, key }: BadOutcome, ctx: Pick<ExecutionContext, "waitUntil">): void {
    const now = Date.now();
    const watched = this.#of(worker, rollout, now);
    watched.watch.note(hashKey(watched.seed, key), observed, "outcome", now);
    this.#keepSending(watched, now, ctx);
  }

  #of(worker: string, { id, failures = PLAIN }: WatchedRollout, now: number): Watched {
    const held = this.#watched.get(id);
    if (held !== undefined) {
      held.usedAt = now;
      return held;
    }
    this.#forgetOld(now);
    const watched: Watched = {
      worker,
      rollout: id,
      rules: failures,
      seed: prepareSeed(id),
      watch: new Watch(crypto.randomUUID()),
      usedAt: now,
      courier: undefined,
      rounds: 0,
      wokeAt: now,
      isKeeping: false,
    };
    this.#watched.set(id, watched);
    return watched;
  }

  /** Rollouts end without a word to those who watch. */
  #forgetOld(now: number): void {
    for (const [id, { usedAt }] of this.#watched) {
      if (now - usedAt > LIMITS.rollouts.forgetWatchedMs) this.#watched.delete(id);
    }
  }

  #keepSending(watched: Watched, now: number, ctx: Pick<ExecutionContext, "waitUntil">): void {
    // No request goes on for ever for the others' sake: the next one takes over.
    const isSent =
      watched.courier !== undefined &&
      watched.rounds < LIMITS.rollouts.observeRounds &&
      Math.abs(now - watched.wokeAt) < LIMITS.rollouts.observerLostMs;
    if (isSent) return;
    watched.courier = {};
    watched.rounds = 0;
    watched.wokeAt = now;
    ctx.waitUntil(this.#carry(watched, watched.courier));
  }

  async #carry(watched: Watched, courier: object): Promise<void> {
    while (watched.courier === courier) {
      await new Promise((resolve) => setTimeout(resolve, LIMITS.rollouts.observeMs));
      if (watched.courier !== courier) return;
      watched.rounds++;
      watched.wokeAt = Date.now();
      await this.#report(watched);
      this.#forgetOld(Date.now());
      const isDone = watched.watch.isIdle || !this.#watched.has(watched.rollout);
      if (isDone && watched.courier === courier) watched.courier = undefined;
    }
  }

  /** Sends what there is to say. Where that fails it is kept. Never rejects. */
  async #report(watched: Watched): Promise<void> {
    const { worker, rollout, rules, watch } = watched;
    watch.sweep(Date.now(), rules.timeout_seconds * 1000);
    const report = watch.drain();
    if (report === undefined) return;
    try {
      await this.#send(worker, rollout, report);
    } catch (error) {
      if (!watched.isKeeping) log("warn", "observations-kept", { worker, rollout, why: String(error) });
      watched.isKeeping = true;
      return;
    }
    watched.isKeeping = false;
    watch.acknowledge(report);
  }
}

interface SeenOptions {
  readonly watch: Watch;
  readonly rules: FailureRules;
  readonly ticket: Ticket;
  /** When the request came, in ms since the epoch. */
  readonly now: number;
  readonly ctx: Pick<ExecutionContext, "waitUntil">;
  readonly watchesBody: boolean;
}

class Seen implements Sighting {
  readonly #options: SeenOptions;

  constructor(options: SeenOptions) {
    this.#options = options;
  }

  answered(response: Response): Response {
    const { watch, ticket, rules } = this.#options;
    const { status, headers } = response;
    const now = this.#answer(startOf(response, this.#options.now));
    if (status >= 500 || rules.statuses.includes(status)) watch.fail(ticket, "status", now);
    else if (headers.get(OUTCOME_HEADER) === "bad") watch.fail(ticket, "outcome", now);
    else return this.#watchBody(response);
    return response;
  }

  threw(error: unknown): void {
    const { watch, ticket } = this.#options;
    if (error instanceof VersionLost) {
      if (error.isItsFault) watch.fail(ticket, "lost", Date.now());
      watch.end(ticket);
      return;
    }
    watch.fail(ticket, "exception", this.#answer(this.#options.now));
  }

  unavailable(error: unknown): void {
    const { watch, ticket } = this.#options;
    // A process that is down is nobody's failure.
    const isItsFault = error instanceof VersionUnavailable && error.isItsFault;
    if (isItsFault) watch.fail(ticket, "unavailable", Date.now());
    watch.end(ticket);
  }

  /** @param started in ms since the epoch @returns the time */
  #answer(started: number): number {
    const now = Date.now();
    this.#options.watch.answer(this.#options.ticket, Math.max(now - started, 0), now);
    return now;
  }

  /** An encoded body is left alone: it would be encoded again. */
  #watchBody(response: Response): Response {
    const { watch, ticket, rules, ctx, watchesBody } = this.#options;
    const { body, status, headers } = response;
    if (!watchesBody || body === null || status === 101 || headers.has("Content-Encoding")) return response;
    // Events may be rare.
    const mayPause = headers.get("Content-Type")?.startsWith("text/event-stream");
    const watched = watchBody(body, mayPause ? undefined : rules.timeout_seconds * 1000, () =>
      watch.fail(ticket, "body", Date.now()),
    );
    ctx.waitUntil(watched.done);
    return new Response(watched.body, response);
  }
}
