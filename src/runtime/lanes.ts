/**
 * Candidates and previews run in a process of their own (`canary`), so that what they do to it harms nobody else. This is
 * the router's end of that: a source that runs stable versions here and passes the others' requests on, and the other
 * process's end. A request that was passed on is never sent again: if the process ends before it has answered, the client
 * gets 503.
 */
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import {
  ELAPSED,
  type VersionHandler,
  VersionLost,
  type VersionSource,
  VersionUnavailable,
} from "../router/ports.ts";
import { onReplicated } from "../versions/changes.ts";
import { apartOf } from "../versions/placement.ts";
import type { DeploymentRecord } from "../versions/record.ts";
import type { IsolateSource } from "./isolates.ts";
import {
  ELAPSED_HEADER,
  LANE_HEADER,
  type LaneCall,
  ownAnswer,
  readCall,
  THROWN_HEADER,
  UNLOADABLE_HEADER,
  writeCall,
} from "./lane-protocol.ts";
import { deploymentsOf, isolateSource } from "./process.ts";
import { readError, writeError } from "./thrown.ts";
import type { Running } from "./witness.ts";

/** How long after its last answer a version may still have ended the process, in ms: work may go on behind an answer. */
const BEHIND_MS = 10_000;

interface Apart {
  readonly worker: string;
  readonly handler: VersionHandler;
}

/** Runs stable versions in this process, and has the canary process run the others. */
export class LaneSource implements VersionSource {
  readonly #local: IsolateSource;
  readonly #canary: Fetcher;
  readonly #recordOf: (worker: string) => Promise<DeploymentRecord | undefined>;
  /** The versions that run apart, by id. */
  readonly #apart = new Map<string, Apart>();
  #isDown = false;
  /** Requests under way in the canary process, by version. */
  readonly #running = new Map<string, number>();
  /** Versions that lost requests when that process ended, until the supervisor has asked for them. */
  readonly #lost = new Map<string, { readonly worker: string; readonly at: number }>();
  /** When it last answered a request, in ms since the epoch, by version. */
  readonly #answered = new Map<string, number>();
  /** Versions that may have ended it: they run one at a time, so that the next end shows which one did. */
  #suspected: ReadonlySet<string> = new Set();
  /** Stable versions that run apart, because they ended a process of traffic. */
  #confined: ReadonlySet<string> = new Set();

  constructor(
    local: IsolateSource,
    canary: Fetcher,
    recordOf: (worker: string) => Promise<DeploymentRecord | undefined>,
  ) {
    this.#local = local;
    this.#canary = canary;
    this.#recordOf = recordOf;
    onReplicated((worker, record) => this.#follow(worker, record));
  }

  ready(version: string): VersionHandler | undefined {
    const apart = this.#apart.get(version);
    if (apart === undefined) return this.#local.ready(version);
    return this.#isDown || this.#mustWait(version) ? undefined : apart.handler;
  }

  /** A suspected version runs while no other one does. Otherwise the stable version serves its request. */
  #mustWait(version: string): boolean {
    return this.#suspected.has(version) && [...this.#running.keys()].some((other) => other !== version);
  }

  async load(worker: string, version: string, isVisit = false): Promise<VersionHandler> {
    const record = await this.#recordOf(worker);
    if (record?.quarantined?.includes(version)) throw new VersionUnavailable(version, "it is in quarantine");
    const shares = record?.versions ?? [];
    const isStable = shares.some(({ version_id }) => version_id === version) && apartOf(shares) !== version;
    if (isStable && !this.#confined.has(version)) return this.#local.load(worker, version, isVisit);
    if (this.#mustWait(version)) throw new VersionUnavailable(version, "it runs alone, and another one runs");
    if (this.#isDown) throw new VersionUnavailable(version, "the process of candidates is being restarted");
    await this.#loadApart({ worker, version, isVisit, onlyLoad: true });
    return this.#setApart(worker, version, isVisit);
  }

  /** Whether the version runs in the canary process. */
  isApart(version: string): boolean {
    return this.#apart.has(version);
  }

  /**
   * The supervisor knows first: until the process is back, its requests go to the stable versions.
   *
   * @returns where it has just ended: the versions that had requests under way there
   */
  setCanary(
    isUp: boolean,
    { suspected, confined }: { readonly suspected: readonly string[]; readonly confined: readonly Running[] },
  ): Running[] {
    this.#isDown = !isUp;
    this.#suspected = new Set(suspected);
    this.#confine(confined);
    if (isUp) return [];
    for (const version of this.#running.keys()) this.#noteLost(version);
    // A connection also breaks without an end of the process. Such a loss says nothing about a later end.
    const since = Date.now() - LIMITS.loading.blamedMs;
    for (const [version, { at }] of this.#lost) if (at < since) this.#lost.delete(version);
    if (this.#lost.size === 0) this.#noteBehind();
    const lost = [...this.#lost].map(([version, { worker }]) => ({ version, worker }));
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
    for (const [version, at] of this.#answered) if (at >= since) this.#noteLost(version);
  }

  #noteLost(version: string): void {
    const worker = this.#apart.get(version)?.worker;
    if (worker !== undefined) this.#lost.set(version, { worker, at: Date.now() });
  }

  #follow(worker: string, record: DeploymentRecord | null): void {
    const apart = record === null ? undefined : apartOf(record.versions);
    for (const [version, each] of this.#apart) {
      if (each.worker === worker && version !== apart && !this.#confined.has(version))
        this.#apart.delete(version);
    }
    // The deployment was recorded after the canary process had loaded it.
    if (apart !== undefined && !this.#apart.has(apart)) this.#setApart(worker, apart, false);
  }

  #setApart(worker: string, version: string, isVisit: boolean): VersionHandler {
    if (this.#apart.size > LIMITS.snapshot.maxPreviewed) {
      this.#apart.clear();
      this.#answered.clear();
    }
    const handler: VersionHandler = (request) =>
      this.#pass(request, { worker, version, isVisit, onlyLoad: false });
    this.#apart.set(version, { worker, handler });
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
      throw new VersionUnavailable(call.version, `the process of candidates does not answer (${error})`);
    } finally {
      clearTimeout(timer);
    }
    const why = response.headers.get(UNLOADABLE_HEADER);
    if (why !== null) throw new VersionUnavailable(call.version, readError(why).message);
  }

  async #pass(request: Request, call: LaneCall): Promise<Response> {
    const outgoing = new Request(request);
    outgoing.headers.set(LANE_HEADER, writeCall(call));
    let response: Response;
    const { version } = call;
    this.#running.set(version, (this.#running.get(version) ?? 0) + 1);
    try {
      response = await this.#canary.fetch(outgoing);
    } catch (error) {
      // Unless the supervisor has been told: then the process is known to be down.
      if (!this.#isDown) this.#noteLost(version);
      throw new VersionLost(version, String(error));
    } finally {
      this.#answered.set(version, Date.now());
      const left = (this.#running.get(version) ?? 1) - 1;
      if (left > 0) this.#running.set(version, left);
      else this.#running.delete(version);
    }
    if (response.status === 101) return response;
    const unloadable = response.headers.get(UNLOADABLE_HEADER);
    if (unloadable !== null) {
      // The next request asks for it to be loaded first, and goes to the other version if it cannot be.
      this.#apart.delete(call.version);
      throw new VersionLost(call.version, readError(unloadable).message);
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

function whyOf(error: unknown): unknown {
  return error instanceof VersionUnavailable ? error.why : error;
}

/** Serves a request that another process has passed on. Never rejects. */
export async function serveInLane(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
  const { worker, version, isVisit, onlyLoad } = readCall(request.headers.get(LANE_HEADER) ?? "");
  const source = isolateSource(env);
  let handler: VersionHandler;
  try {
    handler = source.ready(version) ?? (await source.load(worker, version, isVisit));
  } catch (error) {
    return new Response(null, { status: 503, headers: { [UNLOADABLE_HEADER]: writeError(whyOf(error)) } });
  }
  if (onlyLoad) return new Response(null, { status: 204 });
  const incoming = new Request(request);
  incoming.headers.delete(LANE_HEADER);
  const started = Date.now();
  try {
    const response = ownAnswer(await handler(incoming, env, ctx));
    // An answer that opens a WebSocket cannot be copied.
    if (response.status === 101) return response;
    const answer = new Response(response.body, response);
    answer.headers.set(ELAPSED_HEADER, String(Date.now() - started));
    return answer;
  } catch (error) {
    return new Response(null, { status: 500, headers: { [THROWN_HEADER]: writeError(error) } });
  }
}

let lanes: LaneSource | undefined;

/** Where the router of this process gets versions from. */
export function versionSource(env: Env): VersionSource {
  return laneSource(env) ?? isolateSource(env);
}

/** The same where candidates run in another process; undefined where they run here. */
export function laneSource(env: Env): LaneSource | undefined {
  if (env.SLUICE_CANARY === undefined) return undefined;
  const recordOf = async (worker: string) => (await deploymentsOf(env).load(worker))?.record;
  lanes ??= new LaneSource(isolateSource(env), env.SLUICE_CANARY, recordOf);
  return lanes;
}
