const MiB = 1024 * 1024;

/** Every bound of the system, with the outage or attack it prevents. Sizes in bytes, times in milliseconds. */
export const LIMITS = {
  /** Body of one control-side request. Keeps one upload from exhausting the memory that traffic shares. */
  maxUploadBytes: 100 * MiB,
  /**
   * Modules, source maps and bindings of one version. A version is one KV value, and Workers KV takes
   * 25 MiB (https://developers.cloudflare.com/kv/platform/limits/); the rest is room for the header.
   */
  maxVersionBytes: 24 * MiB,
  /** Bindings of one version, as JSON. workerd refuses a loaded Worker whose serialized `env` exceeds 1 MiB. */
  maxEnvBytes: 1 * MiB - 1024,
  /** Nesting of a JSON variable: deeper ones exhaust the stack of whoever walks them. */
  maxJsonDepth: 500,
  /** Modules of one version: bounds the work of the codec and the module table. */
  maxModules: 2_000,
  /** Message of a version or deployment, in UTF-8 bytes; longer ones are cut, as Cloudflare does. */
  maxMessageBytes: 1_000,
  /** Tag of a version, in characters. */
  maxTagLength: 100,
  /** Secrets changed by one bulk call; Cloudflare's figure. */
  maxBulkSecrets: 100,
  /** Versions that `GET …/versions` lists, newest first: Cloudflare's deployable window. */
  listedVersions: 100,
  /** Deployments that `GET …/deployments` lists, newest first, before the last stable one is added. */
  listedDeployments: 10,
  /** How long an upload may take to start in the validating runtime: an endless top-level loop ends here. */
  startupDeadlineMs: 5_000,
  /** Age at which a cached deployment is read again from KV, in the background of a request. */
  snapshotRefreshMs: 5_000,
  /** The same where the process is told of every change: in case it was not. */
  toldRefreshMs: 30_000,
  /** Age at which a deployment is no longer served without asking KV first: after an idle hour it may be an hour old. */
  maxStaleMs: 60_000,
  /** How long a request waits for that before the last good deployment serves it. */
  staleWaitMs: 500,
  /** Time that Workers KV may answer from its own cache; 30 s is the smallest that the platform takes. */
  kvCacheSeconds: 30,
  /** How long "no such Worker" is believed, so that a flood for one unknown host does not reach KV each time. */
  absentMs: 1_000,
  /** Unknown Workers remembered at once; bounds the memory that random hostnames can take. */
  maxAbsent: 10_000,
  /** Hosts of existing Workers remembered at once, spellings and ports included; then all are looked up anew. */
  maxHosts: 100_000,
  /** Longest host remembered: a DNS name and a port. */
  maxHostLength: 260,
  /** How long a deployment waits for its versions to load, in every process, before it is refused. */
  prepareMs: 10_000,
  /** How long a request waits for another one that is loading the same version, before it loads it itself. */
  loadWaitMs: 2_000,
  /** Time between a version's leaving its deployment and its being unloaded: one that comes back is still warm. */
  drainMs: 5_000,
  /** How long a version stays that was asked for by name (previews, pins) and that no deployment has. */
  visitMs: 60_000,
  /** Versions that may wait for that at once, not counting those prepared for a deployment: about 2 MB each. */
  maxDraining: 8,
  /** How long a publication waits for one traffic process to acknowledge it. One that is slower is told again. */
  acknowledgeMs: 2_000,
  /** A file of SQL: it is kept as one KV value until it is run. */
  maxImportBytes: 24 * MiB,
  /** How long an uploaded file of SQL waits to be run, in seconds. */
  importSeconds: 3_600,
  /** Piece in which a stream is stored in R2, whose parts have 5 MiB at least; bounds the memory of an upload. */
  r2PartBytes: 8 * MiB,
  /** Keys of rate limits counted at once. */
  maxRateLimitKeys: 100_000,
  /** Points that a dataset of Analytics Engine keeps, the newest ones. */
  maxDataPoints: 100_000,
  /** Pause before a batch that no consumer could be found for is tried again. */
  queueRetryMs: 5_000,
  /** Durable Objects whose names a process remembers to have told them; one that is forgotten is told again. */
  maxNamedObjects: 10_000,
  /** One file of a version's assets, and all of their paths; Cloudflare's figures for paid plans. */
  maxAssetBytes: 25 * MiB,
  maxAssetFiles: 100_000,
  /** Files that wrangler is asked to send in one request: their bytes and their number. */
  assetBucketBytes: 20 * MiB,
  assetBucketFiles: 200,
  /** How long an upload of assets may take, from its manifest to its version; Cloudflare's figure, in seconds. */
  assetSessionSeconds: 3_600,
  /** Sets of assets known at once, and memory for their smaller files. */
  maxAssetSets: 100,
  assetCacheBytes: 32 * MiB,
  maxCachedAssetBytes: 1 * MiB,
  /** Responses of one set that are made ahead: each has the headers of one address, the bytes are those of the files above. */
  maxAnswers: 2_000,
  /** Deployed versions that are looked through for those whose assets are retained. */
  maxRetained: 200,
  /** Rules in `run_worker_first`, and their length; Cloudflare's figures. */
  maxWorkerFirstRules: 100,
  /** Runs of cron triggers that are remembered per Worker; Cloudflare's figure. */
  listedCronRuns: 100,
  /** Triggers of one Worker. */
  maxCrons: 100,
  /** Routes of one Worker, and custom domains. */
  maxRoutes: 1_000,
  /** How long a tail lasts, and how long it waits for its connection. */
  tailMs: 6 * 3_600_000,
  tailConnectMs: 30_000,
  /** How often processes are told of tails again, in case one of them was started meanwhile. */
  tailRepeatMs: 5_000,
  /** Events that one tail is sent in a second. */
  tailEventsPerSecond: 200,
  maxTailFilters: 20,
  /** Clients that a rollout counts, over all processes and in one of them; more are sampled by hash. 4 bytes each. */
  rolloutClients: 100_000,
  observedClients: 50_000,
  /** Pause between what a router sees and its sending it, and what it may hold until then. */
  observeMs: 1_000,
  maxObservations: 20_000,
  /** Time after which what was seen of a Worker's rollout is forgotten where nothing more comes. */
  forgetWatchedMs: 600_000,
  /** Requests without a key that count in a rollout, from one prefix of addresses. */
  observationsPerPrefix: 20,
  /** Least time between two looks of a gate. */
  lookMs: 1_000,
  /** How often the clients that were counted are written down: a crash may count those of this time once more. */
  keepClientsMs: 10_000,
  /** Looks of one rollout that are kept for the chart of its evidence. */
  keptLooks: 600,
  /** Answers of the stable version that its 95th percentile is taken from. */
  calibrationSize: 200,
  /** How often a webhook is tried, the pause after the first time (then doubled), and how long each try may take. */
  webhookAttempts: 10,
  webhookRetryMs: 1_000,
  webhookTimeoutMs: 10_000,
  maxWebhooks: 10,
  /** Pause between what a router counts and its sending it; how often one request does that for all. */
  countMs: 1_000,
  countRounds: 3,
  /** Versions that were asked for by hostnames of their own, as far as a router counts them one by one. */
  maxPreviewed: 1_000,
  /** Versions of one Worker with counts of their own, those used last; bounds what `/metrics` shows. The others are one. */
  meteredVersions: 20,
  /** Interval of the series behind the charts, and how far back it goes. */
  seriesIntervalMs: 5_000,
  seriesMs: 1_800_000,
  /** How far back "recent" figures go at most. */
  recentMs: 300_000,
  /** How long the last batch of a process that counts is remembered, so that it is not counted twice. */
  senderMs: 86_400_000,
  /** How long a Worker is shown as stale after a router said so, and how many a router notes at once. */
  staleShownMs: 60_000,
  maxStaleNoted: 1_000,
  /** How exactly it is known when a token was used last. */
  tokenUseMs: 60_000,
  /** How long somebody stays signed in. */
  sessionMs: 12 * 3_600_000,
  /** A form of the dashboard; the code of a module is the largest. */
  maxFormBytes: 2 * MiB,
  /** Main modules that can be edited on the dashboard, and modules that it shows. */
  maxEditedBytes: 256 * 1024,
  maxShownBytes: 512 * 1024,
  /** How long two modules are compared before they are only said to differ. */
  diffMs: 500,
  /** Pause between two looks of an open page. */
  liveMs: 1_000,
  /** Entries on one page of a list, by default and at most. */
  pageSize: 50,
  maxPageSize: 1_000,
  /** Rollouts that are listed. */
  listedRollouts: 50,
  /** Sources of a Worker's request keys. */
  maxAffinitySources: 10,
  /** Longest label of a hostname (RFC 1035, 2.3.4). */
  maxLabelLength: 63,
  /** First and longest pause before a version that failed to load is tried again. */
  loadRetryMs: 1_000,
  maxLoadRetryMs: 30_000,
  /** Pause before a KV write that failed is tried again from the registry's alarm. */
  publishRetryMs: 1_000,
  /** Age at which the code of an upload that was never recorded is deleted from KV. */
  orphanAgeMs: 10 * 60_000,
} as const;
