/**
 * `DurableObjectNamespace` for a version's code, and what a version's own classes need to run as objects. Calls go to
 * channel.ts.
 */
import { DurableObject } from "cloudflare:workers";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Rpc } from "../../lib/rpc.ts";
import { RESERVED_PREFIX } from "../../versions/names.ts";
import { captured } from "../shared/captured.ts";
import type { ObjectsBinding } from "./channel.ts";
import { type FacetId, OBJECT_HEADER } from "./types.ts";

/** Bytes in each half of an id: the first half identifies the object, the second proves its namespace. */
const HALF = 16;

class DurableObjectId {
  readonly name?: string;
  readonly #hex: string;

  constructor(hex: string, name: string | undefined) {
    this.#hex = hex;
    if (name !== undefined) this.name = name;
  }

  toString(): string {
    return this.#hex;
  }

  equals(other: DurableObjectId): boolean {
    return other.toString() === this.#hex;
  }
}

export class DurableObjectNamespace {
  readonly #remote: Rpc<ObjectsBinding>;
  readonly #namespace: string;

  constructor(remote: Rpc<ObjectsBinding>, { namespace_id }: { readonly namespace_id: string }) {
    this.#remote = remote;
    this.#namespace = namespace_id;
  }

  idFromName(name: string): DurableObjectId {
    const first = sha256(utf8ToBytes(`${this.#namespace}/${name}`)).subarray(0, HALF);
    return new DurableObjectId(this.#seal(first), name);
  }

  newUniqueId(): DurableObjectId {
    return new DurableObjectId(this.#seal(crypto.getRandomValues(new Uint8Array(HALF))), undefined);
  }

  idFromString(hex: string): DurableObjectId {
    if (!/^[0-9a-f]{64}$/i.test(hex)) {
      throw new TypeError("Invalid Durable Object ID: must be 64 hex digits");
    }
    const id = hex.toLowerCase();
    if (this.#seal(hexToBytes(id).subarray(0, HALF)) !== id) {
      throw new TypeError("Durable Object ID is not valid for this namespace.");
    }
    return new DurableObjectId(id, undefined);
  }

  get(id: DurableObjectId): object {
    if (!(id instanceof DurableObjectId)) {
      throw new TypeError(
        "Failed to execute 'get' on 'DurableObjectNamespace': parameter 1 is not of type 'DurableObjectId'.",
      );
    }
    return stubOf(this.#remote, id);
  }

  getByName(name: string): object {
    return this.get(this.idFromName(name));
  }

  jurisdiction(): never {
    throw new Error("Jurisdiction restrictions are not implemented in workerd.");
  }

  /** The whole id, from its first half. */
  #seal(first: Uint8Array): string {
    const seal = sha256(utf8ToBytes(`${this.#namespace}#${bytesToHex(first)}`)).subarray(0, HALF);
    return bytesToHex(first) + bytesToHex(seal);
  }
}

/** Each call asks for the object anew. The call is sent on without waiting for that answer, so it costs no extra round trip. */
function stubOf(remote: Rpc<ObjectsBinding>, id: DurableObjectId): object {
  const object = () =>
    remote.object(id.toString(), id.name) as unknown as Promise<Fetcher> & Record<string, unknown>;
  const fetchObject = async (input: RequestInfo, init?: RequestInit) => {
    const outgoing = new Request(input, init);
    outgoing.headers.set(
      OBJECT_HEADER,
      JSON.stringify(id.name === undefined ? [`${id}`] : [`${id}`, id.name]),
    );
    return remote.fetch(outgoing);
  };
  const known: Record<PropertyKey, unknown> = {
    id,
    fetch: fetchObject,
    ...(id.name === undefined ? {} : { name: id.name }),
  };
  return new captured.Proxy(known, {
    get: (target, property) => {
      const isOwn = Object.hasOwn(target, property) || typeof property === "symbol" || property === "then";
      if (isOwn) return target[property];
      return isReserved(property) ? () => notImplemented(property) : object()[property];
    },
  });
}

/** Whether a method is the host's or that of `Hosted`: a binding to an object is no right to its alarm. */
function isReserved(method: string): boolean {
  if (captured.startsWith(method, RESERVED_PREFIX)) return true;
  const next = captured.startsWith(method, "sluice") ? (method["sluice".length] ?? "") : "";
  return next >= "A" && next <= "Z";
}

async function notImplemented(method: string): Promise<never> {
  throw new TypeError(`The RPC receiver does not implement the method "${method}".`);
}

/** Facets have no alarms of their own, so the host keeps them. */
type Alarms = Pick<Rpc<ObjectsBinding>, "setAlarm" | "getAlarm" | "deleteAlarm">;

type ObjectClass = new (ctx: DurableObjectState, env: unknown) => object;
type Handler = (...args: unknown[]) => unknown;

/**
 * A version's class in the form that the host runs: it has the id that its users know, an alarm that the host keeps, and a
 * count of the calls in flight.
 *
 * @param deleteAllAlarms whether `deleteAll()` deletes the alarm too (compatibility date 2026-02-24)
 */
export function objectClass(user: ObjectClass, alarms: Alarms, deleteAllAlarms: boolean): ObjectClass {
  const base: ObjectClass = user.prototype instanceof DurableObject ? user : adapt(user);
  const hasAlarm = "alarm" in user.prototype;

  class Hosted extends base {
    #running = 0;
    #idle: (() => void)[] = [];

    constructor(ctx: DurableObjectState, env: unknown) {
      equip(ctx, alarms, hasAlarm, deleteAllAlarms);
      super(ctx, env);
    }

    /** Resolves once no call is in flight. */
    async __sluice_idle(): Promise<void> {
      if (this.#running === 0) return;
      await new captured.Promise<void>((resolve) => captured.push(this.#idle, resolve));
    }

    async __sluice_alarm(info: object): Promise<void> {
      await this.__sluice_count(() => (this as unknown as { alarm: Handler }).alarm(info));
    }

    __sluice_count(call: () => unknown): unknown {
      this.#running++;
      const done = () => {
        if (--this.#running > 0) return;
        const waiting = this.#idle;
        this.#idle = [];
        for (let i = 0; i < waiting.length; i++) waiting[i]?.();
      };
      let result: unknown;
      try {
        result = call();
      } catch (error) {
        done();
        throw error;
      }
      if (result instanceof captured.Promise) return finishing(result, done);
      done();
      return result;
    }
  }

  for (const [name, method] of methodsOf(base.prototype)) {
    Object.defineProperty(Hosted.prototype, name, {
      configurable: true,
      writable: true,
      value(this: Hosted, ...args: unknown[]) {
        return this.__sluice_count(() => method.apply(this, args));
      },
    });
  }
  Object.defineProperty(Hosted, "name", { value: user.name });
  return Hosted;
}

async function finishing(result: Promise<unknown>, done: () => void): Promise<unknown> {
  try {
    return await result;
  } finally {
    done();
  }
}

/** The methods of a class and of its base classes, except the runtime's own. */
function methodsOf(prototype: object): Map<string, Handler> {
  const methods = new Map<string, Handler>();
  for (
    let at = prototype;
    at !== null && at !== DurableObject.prototype && at !== Object.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (name !== "constructor" && typeof value === "function" && !methods.has(name))
        methods.set(name, value);
    }
  }
  return methods;
}

/** A class that does not extend `DurableObject`: it has handlers and no RPC. */
function adapt(user: ObjectClass): ObjectClass {
  class Adapted extends DurableObject {
    readonly inner: Record<string, Handler | undefined>;

    constructor(ctx: DurableObjectState, env: unknown) {
      super(ctx, env as never);
      this.inner = new user(ctx, env) as Record<string, Handler | undefined>;
    }
  }
  for (const name of ["fetch", "alarm", "webSocketMessage", "webSocketClose", "webSocketError"]) {
    if (!(name in user.prototype)) continue;
    Object.defineProperty(Adapted.prototype, name, {
      configurable: true,
      writable: true,
      value(this: Adapted, ...args: unknown[]) {
        return this.inner[name]?.(...args);
      },
    });
  }
  return Adapted as unknown as ObjectClass;
}

/** Gives a facet's context the id and the alarms of an object's. */
function equip(ctx: DurableObjectState, alarms: Alarms, hasAlarm: boolean, deleteAllAlarms: boolean): void {
  const { hex, name } = JSON.parse(String(ctx.id)) as FacetId;
  Object.defineProperty(ctx, "id", { value: new DurableObjectId(hex, name), enumerable: true });
  const { storage } = ctx;
  // Pinned: the runtime may return a new object each time, and the methods of this one are replaced below.
  Object.defineProperty(ctx, "storage", { value: storage, enumerable: true });

  const methods = {
    setAlarm: async (time: number | Date) => {
      if (!hasAlarm) {
        throw new TypeError(
          "Your Durable Object class must have an alarm() handler in order to call setAlarm()",
        );
      }
      await alarms.setAlarm(hex, Number(time));
    },
    getAlarm: async () => alarms.getAlarm(hex),
    deleteAlarm: async () => alarms.deleteAlarm(hex),
  };
  Object.assign(storage, methods);
  const transaction = storage.transaction.bind(storage);
  storage.transaction = (body) => transaction((txn) => body(Object.assign(txn, methods)));
  const deleteAll = storage.deleteAll.bind(storage);
  storage.deleteAll = async (options) => {
    if (deleteAllAlarms) await alarms.deleteAlarm(hex);
    await deleteAll(options);
  };
}
