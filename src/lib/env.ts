/** The bindings of Sluice's own Worker. */
export interface Env {
  /** What the router reads: active deployments and the code of versions. */
  readonly SLUICE_KV: KVNamespace;
  /** One object per Worker name: the record. */
  readonly REGISTRY: DurableObjectNamespace;
  /** One object: the KV namespaces, buckets, databases and queues that Workers can be bound to. */
  readonly ACCOUNT: DurableObjectNamespace;
  /** One object per Durable Object of a version. */
  readonly OBJECTS: DurableObjectNamespace;
  /** One object per D1 database. */
  readonly DATABASES: DurableObjectNamespace;
  /** One object per queue, by its name. */
  readonly QUEUES: DurableObjectNamespace;
  /** One object per dataset of Analytics Engine, by its name. */
  readonly DATASETS: DurableObjectNamespace;
  /** One object per Worker name: its cron triggers. */
  readonly CRONS: DurableObjectNamespace;
  /** One object per Worker name: those who watch its events. */
  readonly TAILS: DurableObjectNamespace;
  /** One object: what was counted of requests. */
  readonly METRICS: DurableObjectNamespace;
  /** The buckets of Workers, each below its name. */
  readonly SLUICE_BUCKET: R2Bucket;
  /** One object: what is in SLUICE_BUCKET. Absent on Cloudflare, where the platform keeps the bucket. */
  readonly R2_INDEX?: DurableObjectNamespace;
  /** The files with the contents of SLUICE_BUCKET: workerd's `disk` service, writable. Absent on Cloudflare. */
  readonly R2_CHUNKS?: Fetcher;
  /** The KV namespaces of Workers, each below its id. */
  readonly SLUICE_DATA: KVNamespace;
  /** Runs uploaded versions in isolates of their own. */
  readonly LOADER: WorkerLoader;
  /**
   * Starts an upload once in a disposable process with a deadline; present where `sluice serve` runs the Worker.
   * Without it the upload is started through LOADER, which needs a platform that ends an endless loop by itself.
   */
  readonly VALIDATOR?: Fetcher;

  /** Where versions' requests go, where `sluice serve` runs them: not to the machine itself. */
  readonly SLUICE_OUTBOUND?: Fetcher;

  /** Workers are served at `<worker>.<SLUICE_DOMAIN>`. */
  readonly SLUICE_DOMAIN: string;
  /** Where end users reach a Worker, for messages: scheme, and port where it is not the scheme's own. */
  readonly SLUICE_TRAFFIC_ORIGIN: string;
  /** The account in API paths. */
  readonly SLUICE_ACCOUNT_ID: string;
  /** SHA-256 of the admin token, in hex: the token itself is not kept where the Worker can see it. */
  readonly SLUICE_TOKEN_SHA256: string;
  /** Header with the client's address that clients cannot forge; empty for none. */
  readonly SLUICE_ADDRESS_HEADER: string;
  /** Hostname that selects the control side where both share one listener (Cloudflare); empty for none. */
  readonly SLUICE_CONTROL_HOST: string;
  /**
   * Set where `sluice serve` runs the Worker: the other processes that follow deployments, for the control process; none
   * where one process does everything. Absent elsewhere, where the platform keeps the isolates.
   */
  readonly SLUICE_FOLLOWERS?: readonly FollowerBinding[];
  /** What this process is for; absent where one process does everything, and on Cloudflare. */
  readonly SLUICE_LANE?: "control" | "traffic" | "canary" | "objects";
  /** The other processes, for those that call them. */
  readonly SLUICE_CONTROL?: Fetcher;
  readonly SLUICE_OBJECTS?: Fetcher;
  readonly SLUICE_CANARY?: Fetcher;
  /** Difference between the time that crons and rollouts go by and the system's, in ms; absent for none. */
  readonly SLUICE_CLOCK_OFFSET_MS?: number;
  /** What the supervisor would have told the process since it started: a `processes` message, as JSON. */
  readonly SLUICE_TOLD?: string | null;
  /** Another text after each end of the process that nobody asked for. */
  readonly SLUICE_LIFETIME?: string | null;
  /** Marks what Sluice itself logs, where a supervisor reads it. */
  readonly SLUICE_LOG_KEY?: string;
  /** Set where `sluice serve --safe-mode` runs the Worker: see versions/safe-mode.ts. */
  readonly SLUICE_SAFE_MODE?: string;
  /** Identifies this build of Sluice's own code. */
  readonly SLUICE_BUILD: string;
}

/** A process that follows deployments. */
export interface FollowerBinding {
  /** Of its binding, and in logs. */
  readonly name: string;
  readonly lane: "traffic" | "canary" | "objects";
}
