/**
 * Candidates, their baselines and previews run in a process of their own (`canary`), so that what they do to it harms
 * nobody else. This is the router's end of that: a source that runs stable versions here and passes the others' requests
 * on. A request that was passed on is never sent again: if the process ends before it has answered, the client gets 503.
 */
import { LIMITS } from "../lib/limits.ts";
import {
  ELAPSED,
  type VersionHandler,
  VersionLost,
  type VersionSource,
  VersionUnavailable,
} from "../router/ports.ts";
import { onReplicated } from "../versions/changes.ts";
import { apartOf, instancesIn, isBaseline, versionOf } from "../versions/placement.ts";
import type { DeploymentRecord } from "../versions/record.ts";
import {
  ELAPSED_HEADER,
  LANE_HEADER,
  type LaneCall,
  readUnloadable,
  THROWN_HEADER,
  UNLOADABLE_HEADER,
  writeCall,
} from "./lane-protocol.ts";
import type { RunningApart } from "./messages.ts";
import { readError } from "./thrown.ts";
import type { Running } from "./witness.ts";

/** How long after its last answer an isolate may still have ended the process, in ms: work may go on behind an answer. */
const BEHIND_MS = 10_000;

interface Apart {
  readonly worker: string;
  readonly handler: VersionHandler;
}

/** Runs stable versions in this process, and has the canary process run the others. */
export class LaneSource implements VersionSource {
  readonly #local: VersionSource;
  readonly #canary: Fetcher;
  readonly #recordOf: (worker: string) => Promise<DeploymentRecord | undefined>;
  /** What runs apart, by the isolate's name; so are the maps below. */
  readonly #apart = new Map<string, Apart>();
  #isDown = false;
  /** How many requests are under way in the canary process. */
  readonly #running = new Map<string, number>();
  /** What lost requests when that process ended, until the supervisor has asked for them. */
  readonly #lost = new Map<string, { readonly worker: string; readonly at: number }>();
  /** When it last answered a request, in ms since the epoch. */
  readonly #answered = new Map<string, number>();
  /** Versions that may have ended it: they run one at a time, so that the next end shows which one did. */
  #suspected: ReadonlySet<string> = new Set();
  /** Stable versions that run apart, because they ended a process of traffic. */
  #confined: ReadonlySet<string> = new Set();

  constructor(
    local: VersionSource,
    canary: Fetcher,
    recordOf: (worker: string) => Promise<DeploymentRecord | undefined>,
  ) {
    this.#local = local;
    this.#canary = canary;
    this.#recordOf = recordOf;
    onReplicated((worker, record) => this.#follow(worker, record));
  }

  ready(instance: string): VersionHandler | undefined {
    const apart = this.#apart.get(instance);
    if (apart === undefined) return this.#local.ready(instance);
    if (this.#isDown) return undefined;
    if (!this.#mustWait(instance)) return apart.handler;
    return isBaseline(instance) ? this.ready(versionOf(instance)) : undefined;
  }

  /**
   * A suspected version runs while no other one does, and no baseline runs beside it: the next end of the process then
   * shows whether it is to blame. The stable version serves the requests of a version that waits. It serves those of a
   * baseline in its name: otherwise the candidate would be compared with nobody meanwhile.
   */
  #mustWait(instance: string): boolean {
    if (this.#suspected.size === 0) return false;
    if (isBaseline(instance)) return true;
    return this.#suspected.has(instance) && [...this.#running.keys()].some((other) => other !== instance);
  }

  async load(worker: string, instance: string, isVisit = false): Promise<VersionHandler> {
    const version = versionOf(instance);
    const record = await this.#recordOf(worker);
    if (record?.quarantined?.includes(version)) throw new VersionUnavailable(version, "it is in quarantine");
    if (record !== undefined && this.#runsHere(instance, record)) {
      return this.#local.load(worker, instance, isVisit);
    }
    const notItsFault = (why: string) => new VersionUnavailable(version, why, false);
    if (this.#isDown) throw notItsFault("the process of candidates is being restarted");
    if (this.#mustWait(instance)) {
      if (isBaseline(instance)) return this.ready(version) ?? this.load(worker, version, isVisit);
      throw notItsFault("it may have ended its process, and runs alone: another one runs");
    }
    await this.#loadApart({ worker, instance, isVisit, onlyLoad: true });
    return this.#setApart(worker, instance, isVisit);
  }

  #runsHere(instance: string, { versions, rollout }: DeploymentRecord): boolean {
    const isDeployed = versions.some(({ version_id }) => version_id === instance);
    return isDeployed && apartOf(versions, rollout?.candidate) !== instance && !this.#confined.has(instance);
  }

  /** Whether the isolate is in the canary process. */
  isApart(instance: string): boolean {
    return this.#apart.has(instance);
  }

  /**
   * The supervisor knows first: until the process is back, its requests go to the stable versions.
   *
   * @returns where it has just ended: what had requests under way there
   */
  setCanary(
    isUp: boolean,
    { suspected, confined }: { readonly suspected: readonly string[]; readonly confined: readonly Running[] },
  ): RunningApart[] {
    this.#isDown = !isUp;
    this.#suspected = new Set(suspected);
    this.#confine(confined);
    if (isUp) return [];
    for (const instance of this.#running.keys()) this.#noteLost(instance);
    // A connection also breaks without an end of the process. Such a loss says nothing about a later end.
    const since = Date.now() - LIMITS.loading.blamedMs;
    for (const [instance, { at }] of this.#lost) if (at < since) this.#lost.delete(instance);
    if (this.#lost.size === 0) this.#noteBehind();
    const lost = [...this.#lost].map(([instance, { worker }]) => ({
      worker,
      version: versionOf(instance),
      isBaseline: isBaseline(instance),
    }));
    this.#lost.clear();
    this.#answered.clear();
    return lost;
  }

  #confine(confined: readonly Running[]): void {
    const before = this.#confined;
    this.#confined = new Set(confined.map(({ version }) => version));
    // The next request finds out where it runs now.
    for (const version of before) if (!this.#confined.has(version)) this.#apart.delete(version);
    for (const { worker, version } of confined) {
      if (!this.#apart.has(version)) this.#setApart(worker, version, false);
    }
  }

  /** Nobody waited for an answer: it was work that a version did behind one. */
  #noteBehind(): void {
    const since = Date.now() - BEHIND_MS;
    for (const [instance, at] of this.#answered) if (at >= since) this.#noteLost(instance);
  }

  #noteLost(instance: string): void {
    const worker = this.#apart.get(instance)?.worker;
    if (worker !== undefined) this.#lost.set(instance, { worker, at: Date.now() });
  }

  #follow(worker: string, record: DeploymentRecord | null): void {
    const apart = record === null ? [] : instancesIn("canary", record.versions, record.rollout);
    for (const [instance, each] of this.#apart) {
      if (each.worker === worker && !apart.includes(instance) && !this.#confined.has(instance))
        this.#apart.delete(instance);
    }
    // The deployment was recorded after the canary process had loaded them.
    for (const instance of apart) {
      if (!this.#apart.has(instance)) this.#setApart(worker, instance, false);
    }
  }

  #setApart(worker: string, instance: string, isVisit: boolean): VersionHandler {
    if (this.#apart.size > LIMITS.snapshot.maxPreviewed) {
      this.#apart.clear();
      this.#answered.clear();
    }
    const handler: VersionHandler = (request) =>
      this.#pass(request, { worker, instance, isVisit, onlyLoad: false });
    this.#apart.set(instance, { worker, handler });
    return handler;
  }

  async #loadApart(call: LaneCall): Promise<void> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), LIMITS.loading.prepareMs);
    let response: Response;
    try {
      response = await this.#canary.fetch("http://lane/", {
        headers: { [LANE_HEADER]: writeCall(call) },
        signal: late.signal,
      });
    } catch (error) {
      const why = `the process of candidates does not answer (${error})`;
      throw new VersionUnavailable(versionOf(call.instance), why, false);
    } finally {
      clearTimeout(timer);
    }
    const unloadable = response.headers.get(UNLOADABLE_HEADER);
    if (unloadable === null) return;
    const { why, isItsFault } = readUnloadable(unloadable);
    throw new VersionUnavailable(versionOf(call.instance), why, isItsFault);
  }

  async #pass(request: Request, call: LaneCall): Promise<Response> {
    const outgoing = new Request(request);
    outgoing.headers.set(LANE_HEADER, writeCall(call));
    let response: Response;
    const { instance } = call;
    const version = versionOf(instance);
    this.#running.set(instance, (this.#running.get(instance) ?? 0) + 1);
    try {
      response = await this.#canary.fetch(outgoing);
    } catch (error) {
      // Unless the supervisor has been told: then the process is known to be down.
      if (!this.#isDown) this.#noteLost(instance);
      // Baselines wait while a version is suspected, so only candidates could be seen to lose requests. The next end of
      // the process shows which version is to blame.
      const isItsFault = this.#suspected.size === 0;
      throw new VersionLost(version, String(error), isItsFault);
    } finally {
      this.#answered.set(instance, Date.now());
      const left = (this.#running.get(instance) ?? 1) - 1;
      if (left > 0) this.#running.set(instance, left);
      else this.#running.delete(instance);
    }
    if (response.status === 101) return response;
    const unloadable = response.headers.get(UNLOADABLE_HEADER);
    if (unloadable !== null) {
      // The next request asks for it to be loaded first, and goes to the other version if it cannot be.
      this.#apart.delete(instance);
      const { why, isItsFault } = readUnloadable(unloadable);
      throw new VersionLost(version, why, isItsFault);
    }
    const thrown = response.headers.get(THROWN_HEADER);
    if (thrown !== null) throw readError(thrown);
    return withoutElapsed(response);
  }
}

/** The answer as the version gave it, with the time that it took where the router finds it. */
function withoutElapsed(response: Response): Response {
  const elapsed = response.headers.get(ELAPSED_HEADER);
  if (elapsed === null) return response;
  const answer = new Response(response.body, response);
  answer.headers.delete(ELAPSED_HEADER);
  return Object.assign(answer, { [ELAPSED]: Number(elapsed) });
}
