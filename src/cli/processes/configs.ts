/**
 * The configuration of each workerd process, in the format of its src/workerd/server/workerd.capnp. Pure. The only TCP
 * sockets are those for traffic and for the control side: everything else is on Unix sockets in the server's own folder.
 */
import { join } from "node:path";
import type { Lane } from "../../versions/placement.ts";
import { type Capnp, embed, named, toCapnp } from "./capnp.ts";
import { type NetworkSetup, networks } from "./networks.ts";

/** Compatibility date of Sluice's own Workers: the date of the runtime. Each version has a date of its own. */
export const COMPATIBILITY_DATE = "2026-11-17";

/**
 * In workerd, objects made for a request survive V8's minor collections, and V8 sees only a small part of their size.
 * With V8's defaults, 1,200 deployments left 180 MiB of garbage. With these flags major collections start early, and it
 * was 50 MiB. No cost per request could be measured: docs/performance.md.
 */
export const V8_FLAGS = [
  "--max-semi-space-size=1",
  "--initial-old-space-size=4",
  "--heap-growing-percent=20",
];

/** A module of a bundle, and the file that has it, below the configuration's folder. */
export interface ModuleFile {
  readonly module: string;
  readonly file: string;
}

/** What every process has in common. */
export interface Common extends NetworkSetup {
  readonly modules: readonly ModuleFile[];
  /** Texts and JSON values in the Worker's `env`. */
  readonly values: Readonly<Record<string, string | object | number>>;
  /** Host name that marks a connection as RPC. */
  readonly rpcHost: string;
}

/** A process that the others call by its Unix sockets. */
export interface Peer {
  readonly name: string;
  readonly lane: Exclude<Lane, "control">;
}

export interface Setup extends Common {
  /** Folder for databases and files. */
  readonly storage: string;
  /** The path of a Unix socket by its name. */
  readonly socket: (name: string) => string;
  /** Path of the Unix socket for operators, where the process does not get a port for them. */
  readonly controlSocket?: string;
  /** All processes but `control`; none where that one does everything. */
  readonly peers: readonly Peer[];
}

/** Variable of the environment with what the process has to know at once. */
export const TOLD = "SLUICE_TOLD";

/** Variable with a text that changes when a process has ended that should not have. */
export const LIFETIME = "SLUICE_LIFETIME";

/** Folders below the storage folder, each of them a disk of the control process. They must exist. */
export const DISKS = ["do", "kv-blobs", "r2-chunks"] as const;

/** The classes of Durable Objects, by the names of their bindings: those of the record and of storage. */
const CONTROL_OBJECTS = {
  REGISTRY: "WorkerRegistry",
  ACCOUNT: "AccountRegistry",
  CRONS: "Scheduler",
  TAILS: "TailHub",
  METRICS: "Metrics",
  QUEUES: "QueueBroker",
} as const;

/** Those that run code or SQL of Workers. */
const USER_OBJECTS = { DATABASES: "Database", DATASETS: "Dataset", OBJECTS: "ObjectHost" } as const;

/** The process that has the registry, the API and storage. Where it has peers, it runs no code of versions. */
export function controlConfig(setup: Setup): string {
  const { storage, socket, peers, controlSocket } = setup;
  const isAlone = peers.length === 0;
  const objects = isAlone ? { ...CONTROL_OBJECTS, ...USER_OBJECTS } : CONTROL_OBJECTS;
  return write({
    services: [
      {
        name: "sluice",
        worker: {
          ...workerOf(setup),
          bindings: [
            ...valuesOf(setup),
            ...(isAlone ? runsVersions() : [{ name: "SLUICE_OBJECTS", service: "objects" }]),
            ...storageBindings(),
            { name: "VALIDATOR", service: "validator" },
            ...namespaces(objects),
            ...peers.map(({ name }) => ({ name, service: `${name}-follower` })),
          ],
          ...objectsOf([...Object.values(objects), "BucketIndex"]),
        },
      },
      ...storageServices(storage),
      { name: "validator", external: { address: `unix:${socket("validator")}`, http: {} } },
      ...peers.map(({ name }) => ({
        name: `${name}-follower`,
        external: { address: `unix:${socket(`${name}-follower`)}`, http: {} },
      })),
      ...(isAlone ? [] : [remoteOf(setup, "objects")]),
      ...networks(setup),
    ],
    sockets: [
      {
        name: "control",
        ...(controlSocket === undefined ? {} : { address: `unix:${controlSocket}` }),
        http: {},
        service: { name: "sluice", entrypoint: "Control" },
      },
      followerSocket(setup, "control"),
      ...(isAlone
        ? [trafficSocket()]
        : [remoteSocket(setup, "control"), unixSocket(setup, "replica", "Replica")]),
    ],
  });
}

/** A process that runs versions. It reads KV from `control`. */
export function peerConfig(setup: Setup, { name, lane }: Peer): string {
  // The router passes requests for candidates on. What runs in the other lanes stays there.
  const calls = lane === "traffic" ? ["control", "objects", "canary"] : ["control", "objects"];
  const others = calls.filter((other) => other !== lane);
  const objects = lane === "objects" ? USER_OBJECTS : {};
  return write({
    services: [
      {
        name: "sluice",
        worker: {
          ...workerOf(setup),
          bindings: [
            ...valuesOf(setup),
            ...runsVersions(),
            { name: "SLUICE_KV", kvNamespace: "replica" },
            ...others.map((other) => ({ name: `SLUICE_${other.toUpperCase()}`, service: other })),
            ...namespaces(objects),
          ],
          ...(lane === "objects" ? objectsOf(Object.values(objects)) : {}),
        },
      },
      { name: "replica", external: { address: `unix:${setup.socket("replica")}`, http: {} } },
      ...others.map((other) => remoteOf(setup, other)),
      ...(lane === "objects" ? [disk("do", join(setup.storage, "do"))] : []),
      ...networks(setup),
    ],
    sockets: [
      followerSocket(setup, name),
      ...(lane === "traffic" ? [trafficSocket()] : [remoteSocket(setup, name)]),
    ],
  });
}

/** The names of a process's Unix sockets. */
export function socketsOf(lane: Lane, name: string, isAlone: boolean): string[] {
  if (isAlone || lane === "traffic") return [`${name}-follower`];
  const own = [`${name}-follower`, `${name}-remote`];
  return lane === "control" ? [...own, "replica"] : own;
}

function trafficSocket(): Capnp {
  return { name: "traffic", http: {}, service: { name: "sluice" } };
}

/** Where the supervisor and the control process tell a process of changes. */
function followerSocket(setup: Setup, name: string): Capnp {
  return unixSocket(setup, `${name}-follower`, "Follower");
}

/** Where other processes call a process. */
function remoteSocket(setup: Setup, name: string): Capnp {
  return unixSocket(setup, `${name}-remote`, "Remote", betweenProcesses(setup));
}

function unixSocket({ socket }: Setup, name: string, entrypoint: string, http: Capnp = {}): Capnp {
  return { name, address: `unix:${socket(name)}`, http, service: { name: "sluice", entrypoint } };
}

/** The other end of `remoteSocket`. */
function remoteOf(setup: Setup, name: string): Capnp {
  const address = `unix:${setup.socket(`${name}-remote`)}`;
  return { name, external: { address, http: betweenProcesses(setup) } };
}

/** Requests with their whole URL, so that the scheme arrives too, and RPC. */
function betweenProcesses({ rpcHost }: Setup): Capnp {
  return { style: named("proxy"), capnpConnectHost: rpcHost };
}

function runsVersions(): Capnp[] {
  return [
    { name: "LOADER", workerLoader: { id: "sluice" } },
    { name: "SLUICE_OUTBOUND", service: "outside" },
  ];
}

function namespaces(objects: Readonly<Record<string, string>>): Capnp[] {
  return Object.entries(objects).map(([name, className]) => ({ name, durableObjectNamespace: className }));
}

/** Prefix of the keys under which the runtime keeps objects. Another one would start empty. */
const uniqueKey = (className: string) => `sluice-${className}`;

/**
 * The process that carries over what release 0.1 kept in Miniflare's KV and R2 (src/storage/legacy). It opens the old
 * databases in place: their namespaces have the keys that Miniflare gave them.
 */
export function legacyConfig(common: Common, storage: string, socket: string): string {
  const old = (name: string, className: string, key: string) => ({
    name,
    worker: {
      ...workerOf(common),
      durableObjectNamespaces: [{ className, uniqueKey: key, enableSql: true }],
      durableObjectStorage: { localDisk: `${name}-disk` },
    },
  });
  return write({
    services: [
      {
        name: "sluice",
        worker: {
          ...workerOf(common),
          ...objectsOf(["BucketIndex"]),
          bindings: [
            ...storageBindings(),
            {
              name: "LEGACY_KV",
              durableObjectNamespace: { className: "LegacyKv", serviceName: "legacy-kv" },
            },
            {
              name: "LEGACY_R2",
              durableObjectNamespace: { className: "LegacyR2", serviceName: "legacy-r2" },
            },
            { name: "LEGACY_KV_BLOBS", service: "legacy-kv-disk" },
            { name: "LEGACY_R2_BLOBS", service: "legacy-r2-disk" },
          ],
        },
      },
      old("legacy-kv", "LegacyKv", "miniflare-KVNamespaceObject"),
      old("legacy-r2", "LegacyR2", "miniflare-R2BucketObject"),
      disk("legacy-kv-disk", join(storage, "kv")),
      disk("legacy-r2-disk", join(storage, "r2")),
      ...storageServices(storage),
    ],
    sockets: [
      {
        name: "legacy",
        address: `unix:${socket}`,
        http: {},
        service: { name: "sluice", entrypoint: "Legacy" },
      },
    ],
  });
}

/** The process that starts uploads. Their code reaches no network. */
export function validatorConfig(modules: readonly ModuleFile[], socket: string): string {
  return write({
    services: [
      {
        name: "validator",
        worker: {
          compatibilityDate: COMPATIBILITY_DATE,
          modules: modules.map(moduleOf),
          bindings: [{ name: "LOADER", workerLoader: { id: "validator" } }],
        },
      },
      { name: "internet", network: { allow: [] } },
    ],
    sockets: [{ name: "validate", address: `unix:${socket}`, http: {}, service: "validator" }],
  });
}

function write(config: { readonly [field: string]: Capnp }): string {
  const value = toCapnp({ structuredLogging: true, v8Flags: V8_FLAGS, ...config });
  return `using Workerd = import "/workerd/workerd.capnp";\nconst config :Workerd.Config = ${value};\n`;
}

function workerOf({ modules }: Common) {
  return { compatibilityDate: COMPATIBILITY_DATE, modules: modules.map(moduleOf) };
}

function moduleOf({ module, file }: ModuleFile): Capnp {
  return module.endsWith(".wasm")
    ? { name: module, wasm: embed(file) }
    : { name: module, esModule: embed(file) };
}

function valuesOf({ values }: Common): Capnp[] {
  return [
    ...Object.entries(values).map(([name, value]) =>
      typeof value === "string" ? { name, text: value } : { name, json: JSON.stringify(value) },
    ),
    // Another one at each start of the process.
    { name: TOLD, fromEnvironment: TOLD },
    { name: LIFETIME, fromEnvironment: LIFETIME },
  ];
}

function kv(name: string, namespace: string): Capnp {
  return { name, kvNamespace: { name: "kv", props: { json: JSON.stringify({ namespace }) } } };
}

/** KV, R2 and where they keep their data, beside the Durable Objects' own. */
function storageServices(storage: string): Capnp[] {
  return [
    {
      name: "kv",
      worker: {
        compatibilityDate: COMPATIBILITY_DATE,
        modules: [{ name: "kv.js", bundled: "/workerd/kv.js" }],
        bindings: [
          { name: "SHARD", durableObjectNamespace: "KVNamespace" },
          { name: "BLOBS", service: "kv-blobs" },
        ],
        ...objectsOf(["KVNamespace"]),
      },
    },
    ...DISKS.map((name) => disk(name, join(storage, name))),
  ];
}

function storageBindings(): Capnp[] {
  return [
    kv("SLUICE_KV", "sluice"),
    kv("SLUICE_DATA", "data"),
    { name: "SLUICE_BUCKET", r2Bucket: { name: "sluice", entrypoint: "R2Service" } },
    { name: "R2_INDEX", durableObjectNamespace: "BucketIndex" },
    { name: "R2_CHUNKS", service: "r2-chunks" },
  ];
}

/** Classes of Durable Objects, with their databases on disk. */
function objectsOf(classNames: readonly string[]) {
  return {
    durableObjectNamespaces: classNames.map((className) => ({
      className,
      uniqueKey: uniqueKey(className),
      enableSql: true,
    })),
    durableObjectStorage: { localDisk: "do" },
  };
}

function disk(name: string, path: string): Capnp {
  // What a kill leaves half written has a name that begins with a dot, and must be found to be deleted.
  return { name, disk: { path, writable: true, allowDotfiles: true } };
}
