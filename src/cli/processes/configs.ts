/**
 * The configuration of each workerd process, in the format of its src/workerd/server/workerd.capnp. Pure. The only TCP
 * sockets are those for traffic and for the control side: everything else is on Unix sockets in the server's own folder.
 */
import { join } from "node:path";
import { type Capnp, embed, toCapnp } from "./capnp.ts";

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
export interface Common {
  readonly modules: readonly ModuleFile[];
  /** Texts and JSON values in the Worker's `env`. */
  readonly values: Readonly<Record<string, string | object | number>>;
  /** Host name that marks a connection as RPC. */
  readonly rpcHost: string;
  /** Certificates that versions trust beside the public ones, in PEM. */
  readonly certificates: readonly string[];
  /** Addresses of this machine itself, which versions cannot reach, as CIDR blocks. */
  readonly own: readonly string[];
  /** Blocks that versions can reach all the same. */
  readonly reachable: readonly string[];
}

export interface ControlSetup extends Common {
  /** Folder for databases and files. */
  readonly storage: string;
  /** Unix sockets of the processes that serve traffic, by the names of their bindings. None: this process serves it. */
  readonly followers: Readonly<Record<string, string>>;
  /** Unix socket on which the supervisor tries uploads out. */
  readonly validator: string;
  /** Unix sockets on which traffic processes read KV and call bindings. */
  readonly replica: string;
  readonly remote: string;
}

/** The classes of Durable Objects, by the names of their bindings. */
const OBJECTS = {
  REGISTRY: "WorkerRegistry",
  ACCOUNT: "AccountRegistry",
  DATABASES: "Database",
  DATASETS: "Dataset",
  CRONS: "Scheduler",
  TAILS: "TailHub",
  METRICS: "Metrics",
  QUEUES: "QueueBroker",
  OBJECTS: "ObjectHost",
} as const;

/** Folders below the storage folder, each of them a disk of the control process. They must exist. */
export const DISKS = ["do", "kv-blobs", "r2-chunks"] as const;

/** Prefix of the keys under which the runtime keeps objects. Another one would start empty. */
const uniqueKey = (className: string) => `sluice-${className}`;

/** The process that has the registry, the API and all storage. */
export function controlConfig(setup: ControlSetup): string {
  const { storage, followers, validator, replica, remote, rpcHost } = setup;
  const servesTraffic = Object.keys(followers).length === 0;
  const unix = (name: string, path: string, entrypoint: string, http: Capnp = {}) => ({
    name,
    address: `unix:${path}`,
    http,
    service: { name: "sluice", entrypoint },
  });
  return write({
    services: [
      {
        name: "sluice",
        worker: {
          ...workerOf(setup),
          bindings: [
            ...bindingsOf(setup),
            ...storageBindings(),
            { name: "VALIDATOR", service: "validator" },
            ...Object.entries(OBJECTS).map(([name, className]) => ({
              name,
              durableObjectNamespace: className,
            })),
            ...Object.keys(followers).map((name) => ({ name, service: name })),
          ],
          ...objectsOf([...Object.values(OBJECTS), "BucketIndex"]),
        },
      },
      ...storageServices(storage),
      { name: "validator", external: { address: `unix:${validator}`, http: {} } },
      ...Object.entries(followers).map(([name, path]) => ({
        name,
        external: { address: `unix:${path}`, http: {} },
      })),
      ...networks(setup),
    ],
    sockets: [
      { name: "control", http: {}, service: { name: "sluice", entrypoint: "Control" } },
      ...(servesTraffic
        ? [{ name: "traffic", http: {}, service: { name: "sluice" } }]
        : [
            unix("replica", replica, "Replica"),
            unix("remote", remote, "Remote", { capnpConnectHost: rpcHost }),
          ]),
    ],
  });
}

export interface TrafficSetup extends Common {
  /** Unix socket on which the control process tells this one of changes. */
  readonly follower: string;
  /** Unix sockets of the control process, for its KV and for the bindings of versions. */
  readonly replica: string;
  readonly remote: string;
}

/** A process that serves traffic and has no storage. */
export function trafficConfig(setup: TrafficSetup): string {
  const { follower, replica, remote, rpcHost } = setup;
  return write({
    services: [
      {
        name: "sluice",
        worker: {
          ...workerOf(setup),
          bindings: [
            ...bindingsOf(setup),
            { name: "SLUICE_KV", kvNamespace: "replica" },
            { name: "SLUICE_REMOTE", service: "remote" },
          ],
        },
      },
      { name: "replica", external: { address: `unix:${replica}`, http: {} } },
      { name: "remote", external: { address: `unix:${remote}`, http: { capnpConnectHost: rpcHost } } },
      ...networks(setup),
    ],
    sockets: [
      { name: "traffic", http: {}, service: { name: "sluice" } },
      {
        name: "follower",
        address: `unix:${follower}`,
        http: {},
        service: { name: "sluice", entrypoint: "Follower" },
      },
    ],
  });
}

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

function bindingsOf({ values }: Common): Capnp[] {
  const written = Object.entries(values).map(([name, value]) =>
    typeof value === "string" ? { name, text: value } : { name, json: JSON.stringify(value) },
  );
  return [
    { name: "LOADER", workerLoader: { id: "sluice" } },
    { name: "SLUICE_OUTBOUND", service: "outside" },
    ...written,
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

/**
 * Where requests go: `internet` for Sluice's own, such as webhooks, and `outside` for those of versions. The runtime
 * checks the address that it connects to, so a name or a redirect cannot lead around the rule. The most specific block
 * that matches an address decides.
 */
function networks({ certificates, reachable, own }: Common): Capnp[] {
  const tlsOptions = { trustBrowserCas: true, trustedCertificates: certificates };
  const deny = [...METADATA, ...own].filter((block) => !reachable.includes(block));
  return [
    { name: "internet", network: { allow: ["public", "private", "240.0.0.0/4"], tlsOptions } },
    { name: "outside", network: { allow: ["public", ...LOCAL_NETWORKS, ...reachable], deny, tlsOptions } },
  ];
}

/**
 * Networks beside the machine (RFC 1918, 6598, 4193, 1112). The runtime's "private" would include the machine itself and
 * link-local addresses (RFC 1122, 3927, 4291), where clouds have their metadata services.
 */
const LOCAL_NETWORKS = [
  ...["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "240.0.0.0/4"],
  "fc00::/7",
];

/** Metadata services at other addresses: those of AWS for IPv6, Alibaba and Oracle. */
const METADATA = ["fd00:ec2::/32", "100.100.100.200/32", "192.0.0.192/32"];
