/**
 * Sluice's Worker. The default export serves end users; `Control` serves operators. With `sluice serve`, `Control` has a
 * listener of its own. Where both share one listener, a hostname (`SLUICE_CONTROL_HOST`) selects it.
 */

import { env as bindings } from "cloudflare:workers";
import type { Env } from "./lib/env.ts";
import { setLogKey } from "./lib/log.ts";
import { Meter } from "./metrics/meter.ts";
import type { MetricsSink } from "./metrics/store.ts";
import { Control } from "./operators.ts";
import type { RolloutSink } from "./registry/rollout-sink.ts";
import { CpuReports } from "./rollout/cpu-reports.ts";
import { Observer, type SendObservations } from "./rollout/observer.ts";
import { workersUnder } from "./router/hosts.ts";
import { createRouter } from "./router/index.ts";
import { openChannel } from "./runtime/channels.ts";
import { heed } from "./runtime/follower.ts";
import { onLaneSample } from "./runtime/lane-cpu.ts";
import { versionSource } from "./runtime/lanes.ts";
import { refreshMsOf } from "./runtime/process.ts";
import { refusal } from "./runtime/shortage.ts";
import { servedBy } from "./versions/safe-mode.ts";

export { AccountRegistry } from "./account/registry.ts";
export { AnalyticsBinding, DatasetAdmin } from "./bindings/analytics/channel.ts";
export { Dataset } from "./bindings/analytics/dataset.ts";
export { AssetsBinding } from "./bindings/assets/channel.ts";
export { D1Admin, D1Binding } from "./bindings/d1/channel.ts";
export { Database } from "./bindings/d1/database.ts";
export { KvBinding } from "./bindings/kv/channel.ts";
export { ObjectsBinding } from "./bindings/objects/channel.ts";
export { ObjectHost } from "./bindings/objects/host.ts";
export { QueueBroker } from "./bindings/queue/broker.ts";
export { QueueBinding } from "./bindings/queue/channel.ts";
export { R2Binding } from "./bindings/r2/channel.ts";
export { RateLimitBinding } from "./bindings/ratelimit/channel.ts";
export { ServiceBinding } from "./bindings/service/channel.ts";
export { CronRunner, Scheduler } from "./events/scheduler.ts";
export { TailCollector, TailHub, TailSink } from "./events/tail.ts";
export { Metrics, MetricsSink } from "./metrics/store.ts";
export { WorkerRegistry } from "./registry/index.ts";
export { HeldSink } from "./registry/held-sink.ts";
export { RolloutSink } from "./registry/rollout-sink.ts";
export { RemoteBinding } from "./runtime/channels.ts";
export { EventRunner } from "./runtime/events.ts";
export { Follower } from "./runtime/follower.ts";
export { Remote } from "./runtime/remote.ts";
export { Replica } from "./runtime/replica.ts";
export { Legacy } from "./storage/legacy/carry.ts";
export { LegacyKv, LegacyR2 } from "./storage/legacy/databases.ts";
export { BucketIndex } from "./storage/r2/bucket-index.ts";
export { R2Service } from "./storage/r2/service.ts";
export { Control };

const { SLUICE_LOG_KEY, SLUICE_TOLD } = bindings as Env;
setLogKey(SLUICE_LOG_KEY ?? "");
if (SLUICE_TOLD) heed(bindings as Env, JSON.parse(SLUICE_TOLD));

/** Takes what this process sees of rollouts to their registries. */
function sendTo(env: Env): SendObservations {
  return (worker, rollout, observations) =>
    openChannel<RolloutSink>(env, "RolloutSink", { worker }).observe(rollout, observations);
}

const cpuReports = new CpuReports(sendTo(bindings as Env));

const router = createRouter<Env>((env) => ({
  deployments: env.SLUICE_KV,
  source: versionSource(env),
  workerOf: workersUnder(env.SLUICE_DOMAIN),
  addressHeader: env.SLUICE_ADDRESS_HEADER,
  refreshMs: refreshMsOf(env),
  served: servedBy(env),
  hasAddresses: true,
  meter: new Meter((batch) => openChannel<MetricsSink>(env, "MetricsSink", {}).add(batch)),
  observer: new Observer(sendTo(env)),
}));

onLaneSample(({ worker, rollout, ...sample }) => cpuReports.take(worker, rollout, sample));

export default {
  fetch(request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response> {
    if (env.SLUICE_CONTROL_HOST !== "" && new URL(request.url).hostname === env.SLUICE_CONTROL_HOST) {
      return new Control(ctx, env).fetch(request);
    }
    return refusal() ?? router.fetch(request, env, ctx);
  },
} satisfies ExportedHandler<Env>;
