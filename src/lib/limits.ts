/**
 * Every bound of the system, grouped by what it bounds, each with the outage or attack that it prevents or the figure of
 * Cloudflare's that it repeats. Sizes in bytes, times in milliseconds unless the name says seconds.
 */

import { MIB } from "./bytes.ts";

export const LIMITS = {
  uploads: {
    /** Body of one request to the control side. Without it, one upload could exhaust the memory that traffic shares. */
    maxUploadBytes: 100 * MIB,
    /**
     * Modules, source maps and bindings of one version. A version is one KV value, and Workers KV takes 25 MiB
     * (https://developers.cloudflare.com/kv/platform/limits/). The rest is room for the header.
     */
    maxVersionBytes: 24 * MIB,
    /** Bindings of one version, as JSON. workerd refuses a loaded Worker whose serialized `env` exceeds 1 MiB. */
    maxEnvBytes: 1 * MIB - 1024,
    /** Nesting of a JSON variable. Deeper values exhaust the stack of code that walks them. */
    maxJsonDepth: 500,
    /** Modules of one version. Bounds the work of the codec and the size of the module table. */
    maxModules: 2_000,
    /** Message of a version or deployment, in bytes of UTF-8. Longer messages are cut, as Cloudflare does. */
    maxMessageBytes: 1_000,
    /** Tag of a version, in characters. Lists and metrics show tags, so they stay short. */
    maxTagLength: 100,
    /** Secrets in one bulk call. Cloudflare's figure. */
    maxBulkSecrets: 100,
    /** Time that an upload may take to start in the validating process. Ends an endless loop at the top level. */
    startupDeadlineMs: 5_000,
    /** Age at which the code of an upload that was never recorded is deleted from KV. */
    orphanAgeMs: 10 * 60_000,
  },

  lists: {
    /** Versions that `GET …/versions` lists, newest first. Cloudflare's deployable window. */
    listedVersions: 100,
    /** Deployments that `GET …/deployments` lists, newest first, before the last stable one is added. Cloudflare's figure. */
    listedDeployments: 10,
    /** Rollouts in a list. Bounds the size of the answer. */
    listedRollouts: 50,
    /** Runs of cron triggers that each Worker remembers. Cloudflare's figure. */
    listedCronRuns: 100,
    /** Incidents of processes that are kept. A process that ends again and again must not fill the disk. */
    keptIncidents: 200,
    /** Versions that one incident names. Bounds its size. */
    incidentVersions: 50,
    /** Entries on one page of a list where the request does not say. */
    pageSize: 50,
    /** Entries on one page of a list at most. Bounds the size of the answer. */
    maxPageSize: 1_000,
  },

  snapshot: {
    /** Age at which a cached deployment is read again from KV, behind a request. Bounds how long an old split lives. */
    snapshotRefreshMs: 5_000,
    /** The same age in a process that is told of every change. The read catches a change that it was not told of. */
    toldRefreshMs: 30_000,
    /** Age at which a deployment no longer serves without asking KV first. After an idle hour it may be an hour old. */
    maxStaleMs: 60_000,
    /** Time that a request waits for that read before the last good deployment serves it. */
    staleWaitMs: 500,
    /** Time that Workers KV may answer from its own cache. The smallest that the platform takes. */
    kvCacheSeconds: 30,
    /** Time for which "no such Worker" is believed. A flood for one unknown host does not reach KV each time. */
    absentMs: 1_000,
    /** Unknown Workers remembered at once. Bounds the memory that random hostnames can take. */
    maxAbsent: 10_000,
    /** Hosts of existing Workers remembered at once, spellings and ports included. Past it, all are looked up anew. */
    maxHosts: 100_000,
    /** Longest host remembered: a DNS name and a port. */
    maxHostLength: 260,
    /** Longest label of a hostname (RFC 1035, section 2.3.4). */
    maxLabelLength: 63,
    /** Versions asked for by their own hostnames that a router counts one by one. Bounds the memory of their counts. */
    maxPreviewed: 1_000,
  },

  loading: {
    /** Time that a deployment waits for its versions to load in every process before it is refused. */
    prepareMs: 10_000,
    /** Time that a request waits for another request that loads the same version. Then it loads the version itself. */
    loadWaitMs: 2_000,
    /** Time between a version leaving its deployment and being unloaded. A version that comes back is still warm. */
    drainMs: 5_000,
    /** Time that a version stays loaded that only a preview or a pin asked for. */
    visitMs: 60_000,
    /** Versions that wait to be unloaded at once, those prepared for a deployment aside. Each takes about 2 MB. */
    maxDraining: 8,
    /** Time for which a request that broke off says that its version may have ended the process of candidates. */
    blamedMs: 5_000,
    /** Pause before a version that failed to load is tried again, the first time. */
    loadRetryMs: 1_000,
    /** The longest such pause. Bounds how long a version that loads again goes unused. */
    maxLoadRetryMs: 30_000,
    /** Calls of `fetch` while a version handles one event. Cloudflare's figure. Each takes two descriptors while it lasts. */
    maxFetches: 1_000,
  },

  publishing: {
    /** Time that a publication waits for one traffic process to acknowledge it. A slower process is told again. */
    acknowledgeMs: 2_000,
    /** Pause before the registry's alarm repeats a KV write that failed. */
    publishRetryMs: 1_000,
  },

  bindings: {
    /** A file of SQL. It is kept as one KV value until it runs. */
    maxImportBytes: 24 * MIB,
    /** Time that an uploaded file of SQL waits to be run. Bounds what abandoned imports take. */
    importSeconds: 3_600,
    /** Part in which a stream is stored in R2, whose parts have at least 5 MiB. Bounds the memory of an upload. */
    r2PartBytes: 8 * MIB,
    /** Keys of rate limits counted at once. Bounds the memory that random keys can take. */
    maxRateLimitKeys: 100_000,
    /** Points that a dataset of Analytics Engine keeps, the newest ones. Bounds its disk. */
    maxDataPoints: 100_000,
    /** Pause before a batch is tried again for which no consumer was found. */
    queueRetryMs: 5_000,
    /** Pause before an object's alarm is tried again because its Worker's deployment could not be read. */
    alarmRetryMs: 500,
    /** Pause before a due alarm looks again whether safe mode has ended. */
    safeModeMs: 5_000,
    /** Durable Objects whose names a process remembers to have told them. An object that is forgotten is told again. */
    maxNamedObjects: 10_000,
  },

  assets: {
    /** One file of a version's assets. Cloudflare's figure. */
    maxAssetBytes: 25 * MIB,
    /** Files of a version's assets. Cloudflare's figure for paid plans. */
    maxAssetFiles: 100_000,
    /** Bytes of the files that wrangler is asked to send in one request. Bounds the memory of that request. */
    assetBucketBytes: 20 * MIB,
    /** Number of the files that wrangler is asked to send in one request. */
    assetBucketFiles: 200,
    /** Time that an upload of assets may take, from its manifest to its version. Cloudflare's figure. */
    assetSessionSeconds: 3_600,
    /** Sets of assets known at once in a process. Bounds the memory of their manifests. */
    maxAssetSets: 100,
    /** Memory for the smaller files of all sets in a process. */
    assetCacheBytes: 32 * MIB,
    /** The largest file that is kept in that memory, so that one file does not displace all others. */
    maxCachedAssetBytes: 1 * MIB,
    /** Responses of one set that are made ahead: each has the headers of one path, the bytes are shared. */
    maxAnswers: 2_000,
    /** Deployed versions that are searched for retained assets. Bounds the record that the router reads. */
    maxRetained: 200,
    /** Rules in `run_worker_first`. Cloudflare's figure. */
    maxWorkerFirstRules: 100,
  },

  events: {
    /** Cron triggers of one Worker. Bounds the work of one alarm. */
    maxCrons: 100,
    /** Routes of one Worker, and custom domains. Bounds the record that every request's host is matched against. */
    maxRoutes: 1_000,
    /** Time that a tail lasts. Tailing costs throughput, and a forgotten tail must end. */
    tailMs: 6 * 3_600_000,
    /** Time that a tail waits for its connection. */
    tailConnectMs: 30_000,
    /** Interval at which processes are told of tails again, in case one has started meanwhile. */
    tailRepeatMs: 5_000,
    /** Events that one tail is sent in a second. A slow reader must not hold back a busy Worker. */
    tailEventsPerSecond: 200,
    /** Events of one Worker that are listed as held. Bounds its settings. */
    maxHeld: 100,
    /** Interval at which it is looked whether an event is still held. */
    heldMs: 10_000,
    /** Filters of one tail. Each event is checked against all of them. */
    maxTailFilters: 20,
  },

  rollouts: {
    /** Clients that a rollout counts over all processes. More are sampled by hash. 4 bytes each. */
    rolloutClients: 100_000,
    /** Clients that one process counts. 4 bytes each. */
    observedClients: 50_000,
    /** Time in which a client's requests count as one visit. */
    visitMs: 10_000,
    /** Pause between what a router observes and its sending it. */
    observeMs: 1_000,
    /** Times that one request sends observations for all others before the next request takes over. */
    observeRounds: 3,
    /** Time after which a request that sends them has ended before it was done, and the next one takes over. */
    observerLostMs: 5_000,
    /** Observations that a router holds until then. Bounds its memory while the registry is away. */
    maxObservations: 20_000,
    /** Time without a request after which a router forgets what it observed of a Worker's rollout. */
    forgetWatchedMs: 600_000,
    /** Requests without a key that count in a rollout, per prefix of addresses. One client must not decide a rollout. */
    observationsPerPrefix: 20,
    /** Routers whose last report a rollout remembers, so that one that is sent again counts once. */
    maxSenders: 1_000,
    /** Time between two looks at what the other rollout of a linked pair lacks. */
    peerLookMs: 5_000,
    /** Least time between two looks of a gate. Bounds the registry's work. */
    lookMs: 1_000,
    /** Interval at which the counted clients are written down. A crash may count those of this time once more. */
    keepClientsMs: 10_000,
    /** Looks of one rollout that are kept for the chart of its evidence. */
    keptLooks: 600,
    /** Answers of the stable version that its 95th percentile is taken from. */
    calibrationSize: 200,
    /** The same where a stage would otherwise have to wait for more clients. */
    leastCalibration: 1,
    /** Time between two reports of how much processor time a candidate takes. */
    cpuReportMs: 5_000,
    /** Tries of one webhook. */
    webhookAttempts: 10,
    /** Pause after the first try of a webhook. It doubles with each try. */
    webhookRetryMs: 1_000,
    /** Time that each try of a webhook may take. */
    webhookTimeoutMs: 10_000,
    /** Webhooks of one Worker. Bounds what one event sends. */
    maxWebhooks: 10,
  },

  metrics: {
    /** Pause between what a router counts and its sending it. */
    countMs: 1_000,
    /** Times that one request sends counts for all others before the next request takes over. */
    countRounds: 3,
    /** Versions of one Worker with counts of their own, the last used ones. Bounds `/metrics`. The others are one row. */
    meteredVersions: 20,
    /** Interval of the series behind the charts. */
    seriesIntervalMs: 5_000,
    /** Age of the oldest point of a series. */
    seriesMs: 1_800_000,
    /** Age of the oldest request in "recent" figures. */
    recentMs: 300_000,
    /** Time that the last batch of a counting process is remembered, so that it is not counted twice. */
    senderMs: 86_400_000,
    /** Time that a Worker is shown as stale after a router said so. */
    staleShownMs: 60_000,
    /** Age at which what the supervisor said of the processes no longer counts. It says so every five seconds. */
    sampleStaleMs: 15_000,
    /** Stale Workers that a router notes at once. Bounds its memory while KV is away. */
    maxStaleNoted: 1_000,
  },

  dashboard: {
    /** Accuracy of the time at which a token was last used. Saves a write per request. */
    tokenUseMs: 60_000,
    /** Time that a session lasts. */
    sessionMs: 12 * 3_600_000,
    /** A form of the dashboard. The code of a module is the largest. */
    maxFormBytes: 2 * MIB,
    /** The largest main module that can be edited on the dashboard. */
    maxEditedBytes: 256 * 1024,
    /** The largest module that the dashboard shows. */
    maxShownBytes: 512 * 1024,
    /** Time that two modules are compared. After it the page only says that they differ. */
    diffMs: 500,
    /** Pause between two updates of an open page. */
    liveMs: 1_000,
    /** Sources of a Worker's request keys. Each request without a key tries all of them. */
    maxAffinitySources: 10,
  },
} as const;
