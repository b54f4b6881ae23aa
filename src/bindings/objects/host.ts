/**
 * Hosts one Durable Object of a version. The version's class runs as a facet, whose own database outlives the version.
 * The split decides which version runs an object, with the object's id as key: each object has one version at a time, and
 * changes it at most once while a percentage rises. Before it does, calls in flight get `LIMITS.loading.drainMs` to
 * finish, and new calls wait.
 */
import { DurableObject } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { LIMITS } from "../../lib/limits.ts";
import { log } from "../../lib/log.ts";
import { type Rpc, stubOf } from "../../lib/rpc.ts";
import { putOff } from "../../lib/safe-mode.ts";
import { counted } from "../../lib/under-way.ts";
import { decideByKey } from "../../router/decide.ts";
import type { Split } from "../../router/split.ts";
import { forwarding } from "../../runtime/forward.ts";
import type { IsolateSource } from "../../runtime/isolates.ts";
import { type Deployments, deploymentsOf, isolateSource } from "../../runtime/process.ts";
import { lifetimeOf, reportHeld } from "../../runtime/held.ts";
import { codeOf, type Deaths, died, isHeld } from "../../versions/held.ts";
import { isWitnessed, witnessed } from "../../runtime/witness.ts";
import { onMoved } from "../../versions/changes.ts";
import { hostName, type ObjectIdentity, parseHostName } from "./identity.ts";
import type { FacetId } from "./types.ts";

const FACET = "object";
/** Key of the host's own note about its alarm. */
const ALARM_RUN = "alarm_run";

/** An alarm that runs, or that a crash cut off. */
interface AlarmRun {
  /** Lifetime of the process that runs it; null where it is held. */
  readonly begun: string | null;
  readonly code: string;
  readonly deaths: Deaths | undefined;
}

/** What objectClass() adds to a version's class (client.ts). */
interface Hosted {
  __sluice_idle(): Promise<void>;
  __sluice_alarm(info: { retryCount: number; isRetry: boolean; scheduledTime: number }): Promise<void>;
}

type Facet = Fetcher & Hosted & Record<string, (...args: unknown[]) => unknown>;

/** The hosts in this process, by Worker and id. They are told when the Worker's deployment changes. */
const hosts = new Map<string, Map<string, WeakRef<ObjectHost>>>();
/** Removes hosts that the runtime has evicted, unless they are back. */
const evicted = new FinalizationRegistry<{ readonly worker: string; readonly id: string }>(
  ({ worker, id }) => {
    const ofWorker = hosts.get(worker);
    if (ofWorker?.get(id)?.deref() === undefined) ofWorker?.delete(id);
    if (ofWorker?.size === 0) hosts.delete(worker);
  },
);
/** Hosts that are told at the same time. Bounds the calls in flight of one deployment. */
const TOLD_AT_ONCE = 100;

export class ObjectHost extends DurableObject<Env> {
  readonly #source: IsolateSource;
  readonly #deployments: Deployments;
  readonly #identity: ObjectIdentity;
  /** The version whose class runs; undefined while none runs. */
  #version: string | undefined;
  #moving: Promise<void> | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#source = isolateSource(env);
    this.#deployments = deploymentsOf(env);
    // An alarm wakes a host without its name.
    this.#identity = parseHostName(ctx.id.name ?? ctx.storage.kv.get<string>("address") ?? "");
    this.#register();
    // biome-ignore lint/correctness/noConstructorReturn: see forwarding()
    return forwarding(this, (method) => this.#call(method));
  }

  override async fetch(request: Request): Promise<Response> {
    const facet = this.#ready() ?? (await this.#move());
    return isWitnessed() ? this.#witnessed(() => facet.fetch(request)) : facet.fetch(request);
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    if (await putOff(this.env, this.ctx.storage)) return;
    if (await this.#mustWait()) return;
    const facet = this.#ready() ?? (await this.#move());
    if (!(await this.#beginAlarm())) return;
    const { retryCount = 0, isRetry = false, scheduledTime = Date.now() } = info ?? {};
    const ring = () => facet.__sluice_alarm({ retryCount, isRetry, scheduledTime });
    try {
      await counted(() => this.#witnessed(ring, true));
    } finally {
      // Not reached where the process ends.
      this.ctx.storage.kv.delete(ALARM_RUN);
    }
  }

  /** Notes on disk that the alarm runs. @returns false if it is held: it has ended its process twice */
  async #beginAlarm(): Promise<boolean> {
    const { kv } = this.ctx.storage;
    const { worker, namespace, hex } = this.#identity;
    const split = await this.#deployments.load(worker);
    if (split === undefined) return true;
    const code = codeOf(split.record);
    const lifetime = lifetimeOf(this.env);
    const before = kv.get<AlarmRun>(ALARM_RUN);
    const isCutOff = before !== undefined && before.begun !== null && before.begun !== lifetime;
    const deaths = isCutOff ? died(before.deaths, before.code) : before?.deaths;
    const held = isHeld(deaths, code);
    kv.put<AlarmRun>(ALARM_RUN, { begun: held ? null : lifetime, code, deaths });
    await this.ctx.storage.sync();
    if (!held) return true;
    const className = split.record.classes?.[namespace] ?? namespace;
    await reportHeld(this.env, worker, { kind: "alarm", what: `${className}/${hex}`, code });
    await this.ctx.storage.setAlarm(Date.now() + LIMITS.events.heldMs);
    return false;
  }

  /** Puts an alarm off while the deployment cannot be read: other processes may still be starting. */
  async #mustWait(): Promise<boolean> {
    if (this.#ready() !== undefined) return false;
    try {
      await this.#deployments.load(this.#identity.worker);
      return false;
    } catch {
      await this.ctx.storage.setAlarm(Date.now() + LIMITS.bindings.alarmRetryMs);
      return true;
    }
  }

  /** Stores the name that the object's id was made from. The first call counts. */
  sluiceName(name: string): void {
    const { kv } = this.ctx.storage;
    if (kv.get("name") === undefined) kv.put("name", name);
  }

  async sluiceSetAlarm(time: number): Promise<void> {
    const { kv } = this.ctx.storage;
    if (kv.get("address") === undefined) kv.put("address", this.ctx.id.name);
    await this.ctx.storage.setAlarm(time);
  }

  sluiceGetAlarm(): Promise<number | null> {
    return this.ctx.storage.getAlarm();
  }

  sluiceDeleteAlarm(): Promise<void> {
    return this.ctx.storage.deleteAlarm();
  }

  /**
   * Call this when the deployment has changed: an object that runs another version ends, its WebSockets too, and starts
   * with its new version. Rejects if no version still has the object's class.
   */
  async sluiceFollow(): Promise<void> {
    if (this.#version !== undefined && this.#ready() === undefined) await this.#move();
  }

  #call(method: string): unknown {
    const facet = this.#ready();
    if (facet !== undefined && !isWitnessed()) return facet[method];
    return async (...args: unknown[]) => {
      const ready = this.#ready() ?? (await this.#move());
      return this.#witnessed(() => ready[method]?.(...args));
    };
  }

  #witnessed<Result>(run: () => Result, isEvent = false): Promise<Awaited<Result>> {
    return witnessed({ worker: this.#identity.worker, version: this.#version ?? "" }, run, isEvent);
  }

  /** The object, if it already runs the version that the split gives it; without I/O. */
  #ready(): Facet | undefined {
    if (this.#moving !== undefined) return undefined;
    const split = this.#deployments.get(this.#identity.worker, this.ctx);
    if (split === undefined || this.#version !== this.#versionIn(split)) return undefined;
    const worker = this.#source.lastingWorker(this.#version);
    return worker && this.#facet(split, worker);
  }

  #versionIn(split: Split): string {
    return decideByKey(split, this.#identity.hex).version.version_id;
  }

  #facet(split: Split, worker: WorkerStub): Facet {
    const { hex, namespace } = this.#identity;
    return this.ctx.facets.get(FACET, () => {
      const className = split.record.classes?.[namespace];
      if (className === undefined) throw new Error("The class of this Durable Object was deleted.");
      const id: FacetId = { hex, name: this.ctx.storage.kv.get("name") };
      return {
        id: JSON.stringify(id),
        class: worker.getDurableObjectClass(className),
      };
    }) as unknown as Facet;
  }

  /** Moves the object to the version that the split gives it. One move runs at a time; later callers wait for it. */
  async #move(): Promise<Facet> {
    for (;;) {
      this.#moving ??= this.#moveNow().finally(() => {
        this.#moving = undefined;
      });
      await this.#moving;
      const facet = this.#ready();
      if (facet !== undefined) return facet;
    }
  }

  async #moveNow(): Promise<void> {
    const { worker, namespace } = this.#identity;
    const split = await this.#deployments.load(worker);
    if (split?.record.classes?.[namespace] === undefined) {
      const why = `The Worker "${worker}" no longer has a class for this Durable Object.`;
      this.#end(why);
      throw new Error(why);
    }
    const version = this.#versionIn(split);
    if (this.#source.lastingWorker(version) === undefined) await this.#source.load(worker, version);
    if (this.#version !== undefined && this.#version !== version) {
      const before = this.#source.lastingWorker(this.#version);
      if (before !== undefined) await this.#idle(this.#facet(split, before));
      this.#end("Durable Object reset because its code was updated.");
    }
    this.#version = version;
  }

  #end(why: string): void {
    this.#version = undefined;
    this.ctx.facets.abort(FACET, new Error(why));
  }

  async #idle(facet: Facet): Promise<void> {
    const late = new Promise<void>((resolve) => setTimeout(resolve, LIMITS.loading.drainMs));
    try {
      await Promise.race([facet.__sluice_idle(), late]);
    } catch {
      // The object has ended by itself.
    }
  }

  #register(): void {
    const { worker } = this.#identity;
    const id = this.ctx.id.toString();
    const ofWorker = hosts.get(worker) ?? new Map();
    hosts.set(worker, ofWorker.set(id, new WeakRef(this)));
    evicted.register(this, { worker, id });
  }
}

/**
 * Moves a Worker's running objects to the versions that its new deployment gives them. Call this in a request. Never
 * rejects.
 */
async function moveObjects({ OBJECTS }: Env, worker: string): Promise<void> {
  const ids = [...(hosts.get(worker)?.keys() ?? [])];
  for (let at = 0; at < ids.length; at += TOLD_AT_ONCE) {
    await Promise.all(ids.slice(at, at + TOLD_AT_ONCE).map((id) => follow(OBJECTS, worker, id)));
  }
}

async function follow(objects: Env["OBJECTS"], worker: string, id: string): Promise<void> {
  try {
    await hostWithId(objects, id).sluiceFollow();
  } catch (error) {
    log("info", "object-ended", { worker, object: id, why: String(error) });
  }
}

onMoved(moveObjects);

/** The host of a Durable Object. */
export function hostOf({ OBJECTS }: Pick<Env, "OBJECTS">, identity: ObjectIdentity): Rpc<ObjectHost> {
  return stubOf(OBJECTS, hostName(identity));
}

/** @param id the host's own id, not that of the object it runs */
function hostWithId(hosting: Env["OBJECTS"], id: string): Rpc<ObjectHost> {
  return hosting.get(hosting.idFromString(id)) as unknown as Rpc<ObjectHost>;
}
