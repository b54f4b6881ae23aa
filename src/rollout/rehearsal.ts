/**
 * Runs a rollout without a server, with modelled traffic: each request goes through the code that serves real ones. What
 * routers see (watch.ts), what the registry counts (intake.ts) and what the gate decides (step.ts) are the real parts.
 * Pure: time and randomness are passed in. Times are in seconds since the start of the rollout.
 */
import { LIMITS } from "../lib/limits.ts";
import { clientArmAt, type Decision, type Split } from "../router/split.ts";
import { ClientSet } from "./clients.ts";
import { Intake, newIntakeState, QUANTILES } from "./intake.ts";
import { EPOCH, newRollout, type Outcome, splitOf, STABLE, type World } from "./model.ts";
import type { Observations } from "./records.ts";
import {
  Agenda,
  type Answer,
  type Client,
  Clients,
  exponential,
  geometric,
  type Isolate,
  type LoggedRequest,
  newIsolate,
  poisson,
  type Random,
} from "./simulate.ts";
import { step } from "./step.ts";
import { type Rollout, type RolloutEvent, TERMINAL } from "./types.ts";
import { stageOf } from "./verdict.ts";
import { type Ticket, Watch } from "./watch.ts";

export function rehearse(world: World, random: Random): Outcome {
  return new Rehearsal(world, random).run();
}

type Lane = "canary" | "traffic";

/** A request without an answer. */
interface Flight {
  readonly ticket: Ticket;
  readonly lane: Lane;
  readonly client: Client;
  isOver: boolean;
}

interface Process {
  readonly lag: number;
  readonly watch: Watch;
  split: Split;
  stable: Isolate;
  candidate: Isolate;
  baseline: Isolate;
  /** Requests under way. Empty where nothing can end them early. */
  readonly flights: Set<Flight>;
  /** The last report. */
  report: Observations | undefined;
}

/** Mean pause before a client tries again, in seconds. */
const RETRY_SECONDS = 0.5;
/** Answers from which the thresholds of the latency gate can be taken before the rollout starts. */
const ENOUGH_ANSWERS = 1_000;
/** Time between two writes of the clients that the registry knows. */
const KEEP_SECONDS = 10;

class Rehearsal {
  readonly #world: World;
  readonly #random: Random;
  readonly #clients: Clients;
  readonly #agenda = new Agenda<() => void>();
  readonly #processes: readonly Process[];
  readonly #timeoutMs: number;
  #rollout: Rollout;
  #intake = new Intake(newIntakeState(), null);
  /** What the registry has written down last. */
  #kept = newIntakeState();
  #time = 0;
  /** Before which requests end that are over when they begin. */
  #lookAt = 0;
  /** Requests of the log so far, and its clients by key. */
  #replayed = 0;
  readonly #named = new Map<string, Client>();
  /** Of the stable version before the rollout, in ms. */
  #answers: number[] = [];

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#clients = new Clients(random);
    this.#timeoutMs = world.plan.gates.failures.timeout_seconds * 1000;
    const { before } = world.traffic;
    this.#processes = world.lags.map((lag, i) => ({
      lag,
      watch: new Watch(`process-${i}`),
      split: splitOf(world.plan, 0),
      stable: newIsolate(-before),
      candidate: newIsolate(0),
      baseline: newIsolate(0),
      flights: new Set(),
      report: undefined,
    }));
    this.#rollout = newRollout(world.plan, world.slow_ms);
  }

  run(): Outcome {
    const { traffic, limit, crashes, restarts } = this.#world;
    for (let i = 0; i < traffic.regulars; i++)
      this.#visitLater(this.#clients.next(Infinity), -traffic.before);
    if (crashes > 0) this.#crashLater(0);
    for (const at of restarts) this.#agenda.add(at, () => this.#restart());
    let second = -traffic.before;
    for (; second < limit && !TERMINAL.has(this.#rollout.phase); second++) {
      if (second === 0) this.#start();
      this.#arrive(second);
      this.#lookAt = second + 1;
      while (this.#agenda.next < this.#lookAt) {
        this.#time = this.#agenda.next;
        this.#agenda.take()?.();
      }
      this.#time = second + 1;
      if (second >= 0) this.#look();
    }
    return { rollout: this.#rollout, seconds: second };
  }

  #now(): number {
    return EPOCH + (this.#time + this.#world.clock(this.#time)) * 1000;
  }

  #start(): void {
    this.#time = 0;
    const known = this.#answers.length < ENOUGH_ANSWERS ? null : quantiles(this.#answers);
    const slow_ms = this.#world.slow_ms ?? known;
    this.#answers = [];
    const { evidence } = this.#rollout;
    this.#rollout = { ...this.#rollout, clock: this.#now(), evidence: { ...evidence, slow_ms } };
    this.#intake = new Intake(newIntakeState(), slow_ms);
    this.#happen({ type: "start" });
  }

  #happen(event: RolloutEvent): void {
    const before = this.#rollout;
    const outcome = step(before, event, this.#now());
    if (!outcome.ok) return;
    const { rollout, deploy } = outcome.value;
    this.#rollout = rollout;
    if (rollout.stage !== before.stage) {
      this.#intake.beginStage();
      if (this.#world.restarts.length > 0) this.#keep();
    }
    if (deploy !== null) this.#deploy(deploy);
  }

  #deploy(percentage: number): void {
    const split = splitOf(this.#world.plan, percentage);
    for (const process of this.#processes) {
      if (process.lag === 0) process.split = split;
      else {
        this.#agenda.add(this.#time + process.lag, () => {
          process.split = split;
        });
      }
    }
  }

  #look(): void {
    const now = this.#now();
    for (const process of this.#processes) {
      process.watch.sweep(now, this.#timeoutMs);
      const report = process.watch.drain();
      if (report === undefined || report === process.report) continue;
      process.report = report;
      const arrive = () => {
        this.#intake.observe(report, stageOf(this.#rollout));
        process.watch.acknowledge(report);
      };
      if (process.lag === 0) arrive();
      else this.#agenda.add(this.#time + process.lag, arrive);
    }
    if (this.#time % KEEP_SECONDS === 0 && this.#world.restarts.length > 0) this.#keep();
    const counts = this.#intake.take();
    const { stage } = this.#rollout;
    const { slowMs } = this.#intake;
    this.#happen({ type: "look", counts, stage, slow_ms: slowMs, frozen_until: null, lacks: null });
    const event = this.#world.operator(this.#rollout, this.#time);
    if (event !== undefined) this.#happen(event);
  }

  #keep(): void {
    const { failed, known, met } = this.#intake.state;
    this.#kept = { failed, known: copy(known), met: copy(met) };
  }

  #restart(): void {
    const { failed } = this.#intake.state;
    this.#intake = new Intake({ ...this.#kept, failed }, this.#rollout.evidence.slow_ms);
    for (const { report } of this.#processes) {
      if (report !== undefined) this.#intake.observe(report, stageOf(this.#rollout));
    }
  }

  #arrive(second: number): void {
    this.#replay(second);
    const { arrivals, requests } = this.#world.traffic;
    for (let left = poisson(arrivals(second), this.#random); left > 0; left--) {
      const client = this.#clients.next(geometric(requests, this.#random));
      this.#agenda.add(second + this.#random(), () => this.#visit(client));
    }
  }

  #replay(second: number): void {
    const { log } = this.#world.traffic;
    for (; this.#replayed < log.length; this.#replayed++) {
      const { key, failed, time } = log[this.#replayed] as LoggedRequest;
      if (time >= second + 1) break;
      const client = this.#named.get(key) ?? this.#clients.named(key, 0);
      this.#named.set(key, client);
      this.#agenda.add(time, () => this.#request(client, failed));
    }
  }

  #visitLater(client: Client, time: number): void {
    const pause = exponential(this.#world.traffic.pause(client, time), this.#random);
    this.#agenda.add(time + pause, () => this.#visit(client));
  }

  #visit(client: Client): void {
    const { failure } = this.#request(client);
    client.left--;
    if (client.left > 0) this.#visitLater(client, this.#time);
    if (failure !== null) this.#retry(client, this.#world.traffic.retries);
  }

  #retry(client: Client, left: number): void {
    if (left === 0) return;
    this.#agenda.add(this.#time + exponential(RETRY_SECONDS, this.#random), () => {
      if (this.#request(client).failure !== null) this.#retry(client, left - 1);
    });
  }

  /** @param failed whether it did in the log that is replayed */
  #request(client: Client, failed = false): Answer {
    const processes = this.#processes;
    const process = processes[
      processes.length === 1 ? 0 : Math.floor(this.#random() * processes.length)
    ] as Process;
    const { version, instance, observed } = this.#decide(client, process.split);
    const isCandidate = version.version_id !== STABLE.version_id;
    const isBaseline = !isCandidate && instance !== version.version_id;
    const isolate = process[isCandidate ? "candidate" : isBaseline ? "baseline" : "stable"];
    isolate.requests++;
    client.requests++;
    const answer = this.#world[isCandidate ? "candidate" : "stable"]({
      time: this.#time,
      client,
      isolate,
      random: this.#random,
      failed,
    });
    if (this.#time < 0 || observed === undefined) {
      if (answer.failure === null) this.#answers.push(answer.ms);
      return answer;
    }
    const ticket = process.watch.begin(client.hash, observed, this.#now());
    const lane = isCandidate || isBaseline ? "canary" : "traffic";
    this.#fly(process, { ticket, lane, client, isOver: false }, answer);
    return answer;
  }

  #decide(client: Client, split: Split): Decision {
    const { cohort } = split;
    if (cohort !== undefined && this.#time >= 0 && this.#world.isCohort(client)) return cohort.decision;
    return clientArmAt(split, client.place).key;
  }

  /** The request is under way until it has its answer, which may be never. */
  #fly(process: Process, flight: Flight, answer: Answer): void {
    if (answer.failure === "lost") {
      this.#end(process, flight, answer);
      this.#crash(process, flight.lane);
      return;
    }
    const end = this.#time + answer.ms / 1000;
    if (end < this.#lookAt && this.#world.crashes === 0) {
      this.#end(process, flight, answer);
      return;
    }
    process.flights.add(flight);
    if (end < Infinity) this.#agenda.add(end, () => this.#end(process, flight, answer));
  }

  #end({ watch, flights }: Process, flight: Flight, { ms, failure }: Answer): void {
    if (flight.isOver) return;
    flight.isOver = true;
    flights.delete(flight);
    const now = this.#now();
    const { ticket } = flight;
    if (failure !== "exception" && failure !== "lost") watch.answer(ticket, ms, now);
    if (failure !== null) watch.fail(ticket, failure, now);
    watch.end(ticket);
  }

  #crashLater(time: number): void {
    this.#agenda.add(time + exponential(this.#world.crashes, this.#random), () => {
      const process = this.#processes[Math.floor(this.#random() * this.#processes.length)] as Process;
      this.#crash(process, "canary");
      this.#crashLater(this.#time);
    });
  }

  /** A process ends: its requests are lost, and what its isolates kept is gone. */
  #crash(process: Process, lane: Lane): void {
    for (const flight of process.flights) {
      if (flight.lane === lane) this.#end(process, flight, { ms: 0, failure: "lost" });
    }
    if (lane === "traffic") process.stable = newIsolate(this.#time);
    else {
      process.candidate = newIsolate(this.#time);
      process.baseline = newIsolate(this.#time);
    }
  }
}

function copy(clients: ClientSet): ClientSet {
  const { hashes, limit } = clients.dump();
  return new ClientSet(LIMITS.rollouts.rolloutClients, hashes, limit);
}

function quantiles(answers: readonly number[]): readonly number[] {
  const sorted = [...answers].sort((x, y) => x - y);
  return QUANTILES.map((part) => sorted[Math.ceil(sorted.length * part) - 1] as number);
}
