/**
 * The calls between the registries of two Workers whose rollouts are linked (linked.ts).
 *
 * No call must arrive: each of the two asks the other at every look, so a lost one is made up for within
 * `LIMITS.rollouts.peerLookMs`. The follower is started first. Where its leader is never started, it finds that out when
 * it asks, and ends.
 */
import type { SluiceError } from "../lib/errors.ts";
import { log } from "../lib/log.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { GATE, type Rollouts } from "../rollout/runner.ts";
import {
  type Lack,
  type LinkedVersion,
  type Peer,
  type Rollout,
  type RolloutCommand,
  type RolloutEvent,
  TERMINAL,
} from "../rollout/types.ts";
import type { Author } from "../versions/types.ts";
import {
  type FollowerState,
  followerPlan,
  followerState,
  isBehind,
  type Move,
  moveOf,
  naming,
  stageBack,
} from "./linked.ts";
import type { StartFollower } from "./types.ts";

/** The leader is about to start; it was never started; its Worker was deleted. */
export type NoLeader = "starting" | "absent" | "gone";

/** The move of a leader that does not exist. Newer than all others. */
const NOWHERE = { phase: "aborted", elapsed: Number.MAX_VALUE } as const;

type Outcome = Result<Rollout, SluiceError>;

/** What the registries of a linked pair call of each other. Each call can fail. */
export interface PeerRegistry {
  startRollout(worker: string, input: StartFollower): Promise<Outcome>;
  follow(id: string, move: Move): Promise<FollowerState>;
  leaderMove(id: string): Promise<Move | NoLeader>;
  commandRollout(worker: string, id: string, command: RolloutCommand, author: Author): Promise<Outcome>;
}

interface LinkedOptions {
  readonly rollouts: Rollouts;
  /** The name of this registry's Worker, even after the Worker was deleted. */
  readonly name: () => string;
  /** Whether the Worker exists. */
  readonly exists: () => boolean;
  /** The time in ms since the epoch. */
  readonly now: () => number;
  /** The registry of a Worker. */
  readonly registryOf: (worker: string) => PeerRegistry;
  /** Applies an event, once the versions that it gives traffic to are loaded. */
  readonly move: (id: string, event: RolloutEvent, who: Author) => Promise<Outcome>;
}

export class LinkedRollouts {
  readonly #options: LinkedOptions;
  readonly #rollouts: Rollouts;
  /** Ids of leaders whose follower is being started. */
  readonly #starting = new Set<string>();
  /** The newest move of a leader, by its follower's id. */
  readonly #heard = new Map<string, number>();

  constructor(options: LinkedOptions) {
    this.#options = options;
    this.#rollouts = options.rollouts;
  }

  /**
   * Starts both rollouts, the follower first.
   *
   * @param leader neither started nor stored
   * @param linked what it is linked with
   * @param begin starts the leader, in one transaction
   */
  async start(
    leader: Rollout,
    linked: LinkedVersion,
    begin: (peer: Peer) => Promise<Outcome>,
  ): Promise<Outcome> {
    const id = crypto.randomUUID();
    const worker = this.#options.name();
    const other = this.#options.registryOf(linked.worker);
    this.#starting.add(leader.id);
    try {
      const started = await other.startRollout(linked.worker, {
        id,
        version: linked.version_id,
        plan: followerPlan(leader.plan),
        author: leader.author,
        peer: { worker, rollout_id: leader.id, leads: false },
        salt: leader.candidate.version_id,
      });
      if (!started.ok) return err(naming(linked.worker, started.error));
      const begun = await begin({ worker: linked.worker, rollout_id: id, leads: true });
      if (begun.ok) return begun;
      const why = `the rollout of "${worker}" could not be started`;
      await this.#tellFollower(linked.worker, id, { ...NOWHERE, stage: 0, why });
      return begun;
    } finally {
      this.#starting.delete(leader.id);
    }
  }

  /** Tells the follower of a rollout that it has moved, where it has one and has moved. Never rejects. */
  async tell(after: Rollout, before: Rollout): Promise<void> {
    if (after.peer?.leads !== true || (after.stage === before.stage && !TERMINAL.has(after.phase))) return;
    await this.#askFollower(after, after.peer);
  }

  /**
   * Before a look: what the other rollout says, and what follows from it. May end the rollout or move it.
   *
   * @returns what the other one lacks; null where the next stage need not wait for it
   */
  consult(rollout: Rollout, peer: Peer): Promise<Lack | null> {
    return peer.leads ? this.#consultFollower(rollout, peer) : this.#consultLeader(rollout, peer);
  }

  async #consultFollower(rollout: Rollout, peer: Peer): Promise<Lack | null> {
    const { ended, lacks, isRelapsing } = await this.#askFollower(rollout, peer);
    const stage = isRelapsing ? stageBack(rollout) : undefined;
    if (ended !== null) {
      await this.#apply(rollout, { type: "harmed", why: ended });
    } else if (stage !== undefined) {
      await this.#apply(rollout, { type: "follow", stage, phase: "running", why: lacks?.why ?? "" });
    }
    return lacks;
  }

  async #consultLeader({ id, stage }: Rollout, peer: Peer): Promise<Lack | null> {
    const move = await this.#askLeader(peer);
    if (move === "starting") return null;
    if (move === "gone") {
      const why = `the Worker "${peer.worker}", whose rollout moves this one, no longer exists`;
      return { why, waiting: "operator" };
    }
    const why = `the rollout of "${peer.worker}" that it belongs to does not exist`;
    await this.follow(id, move === "absent" ? { ...NOWHERE, stage, why } : move);
    return null;
  }

  #askFollower(leader: Rollout, { worker, rollout_id }: Peer): Promise<FollowerState> {
    return this.#tellFollower(worker, rollout_id, moveOf(this.#options.name(), leader));
  }

  /** Tells a follower where its leader is, and asks how it fares. Never rejects. */
  async #tellFollower(other: string, id: string, move: Move): Promise<FollowerState> {
    try {
      return await this.#options.registryOf(other).follow(id, move);
    } catch (error) {
      log("error", "linked-unreachable", {
        worker: this.#options.name(),
        linked: other,
        why: String(error),
      });
      const why = `the linked rollout of "${other}" cannot be asked`;
      return { ended: null, lacks: { why, waiting: "traffic" }, isRelapsing: false };
    }
  }

  /** Never rejects. A leader that cannot be asked is where it was. */
  async #askLeader({ worker: other, rollout_id }: Peer): Promise<Move | NoLeader> {
    try {
      return await this.#options.registryOf(other).leaderMove(rollout_id);
    } catch (error) {
      log("error", "linked-unreachable", {
        worker: this.#options.name(),
        linked: other,
        why: String(error),
      });
      return "starting";
    }
  }

  /** Takes a follower to where its leader is. @returns what it says of itself then */
  async follow(id: string, move: Move): Promise<FollowerState> {
    const rollout = this.#rollouts.get(id);
    const { stage, phase, why, elapsed } = move;
    const isNews = elapsed >= (this.#heard.get(id) ?? 0);
    if (rollout !== undefined && isNews && isBehind(rollout, move)) {
      this.#heard.clear();
      this.#heard.set(id, elapsed);
      await this.#apply(rollout, { type: "follow", stage, phase, why });
    }
    return followerState(this.#options.name(), this.#rollouts.get(id), stage, this.#options.now());
  }

  /** Where a leader is. */
  leaderMove(id: string): Move | NoLeader {
    const rollout = this.#rollouts.get(id);
    if (rollout !== undefined) return moveOf(this.#options.name(), rollout);
    if (this.#starting.has(id)) return "starting";
    return this.#options.exists() ? "absent" : "gone";
  }

  /** An operator's command to a follower: its leader decides, and only an end concerns both. */
  async command({ id, peer }: Rollout, command: RolloutCommand, author: Author): Promise<Outcome> {
    const { worker, rollout_id } = peer as Peer;
    if (command !== "abort") {
      const detail = `belongs to the rollout of "${worker}" (${rollout_id}): give the command there`;
      return err({ reason: "rollout-state", id, detail });
    }
    const leader = await this.#askLeader(peer as Peer);
    if (typeof leader === "object") {
      const ended = await this.#options
        .registryOf(worker)
        .commandRollout(worker, rollout_id, "abort", author);
      if (!ended.ok) return ended;
    }
    const current = this.#rollouts.get(id);
    if (current !== undefined && TERMINAL.has(current.phase)) return ok(current);
    return this.#options.move(id, { type: "abort" }, author);
  }

  async #apply({ id }: Rollout, event: RolloutEvent): Promise<void> {
    const applied = await this.#options.move(id, event, GATE);
    if (applied.ok) return;
    log("error", "linked-waits", { worker: this.#options.name(), rollout: id, why: applied.error.reason });
  }
}
