/**
 * Sluice's Worker. The default export serves end users; `Control` serves operators and has a listener of its own
 * where `sluice serve` runs it, or a hostname (`SLUICE_CONTROL_HOST`) where both come in at one place.
 */

import { Control } from "./control/index.ts";
import type { Env } from "./env.ts";
import type { MetricsSink } from "./metrics/store.ts";
import { workersUnder } from "./router/hosts.ts";
import { createRouter } from "./router/index.ts";
import { Meter } from "./router/meter.ts";
import { Observer } from "./router/observer.ts";
import { openChannel } from "./versions/bindings/remote.ts";
import type { RolloutSink } from "./versions/bindings/rollout.ts";
import { refreshMsOf } from "./versions/deployments.ts";
import { isolateSource } from "./versions/sources/isolate.ts";

export { AccountRegistry } from "./account/registry.ts";
export { AnalyticsBinding } from "./versions/bindings/analytics.ts";
export { AssetsBinding } from "./versions/bindings/assets.ts";
export { D1Binding } from "./versions/bindings/d1.ts";
export { KvBinding } from "./versions/bindings/kv.ts";
export { ObjectsBinding } from "./versions/bindings/objects.ts";
export { QueueBinding } from "./versions/bindings/queue.ts";
export { R2Binding } from "./versions/bindings/r2.ts";
export { RateLimitBinding } from "./versions/bindings/ratelimit.ts";
export { Remote, RemoteBinding } from "./versions/bindings/remote.ts";
export { RolloutSink } from "./versions/bindings/rollout.ts";
export { ServiceBinding } from "./versions/bindings/service.ts";
export { Follower, Replica } from "./versions/follower.ts";
export { Database } from "./versions/objects/database.ts";
export { Dataset } from "./versions/objects/dataset.ts";
export { ObjectHost } from "./versions/objects/host.ts";
export { QueueBroker } from "./versions/objects/queue.ts";
export { CronRunner, Scheduler } from "./versions/objects/scheduler.ts";
export { TailCollector, TailHub, TailSink } from "./versions/objects/tail.ts";
export { Metrics, MetricsSink } from "./metrics/store.ts";
export { WorkerRegistry } from "./versions/registry.ts";
export { Control };

const router = createRouter<Env>((env) => ({
  deployments: env.SLUICE_KV,
  source: isolateSource(env),
  workerOf: workersUnder(env.SLUICE_DOMAIN),
  addressHeader: env.SLUICE_ADDRESS_HEADER,
  refreshMs: refreshMsOf(env),
  hasAddresses: true,
  meter: new Meter((batch) => (openChannel(env, "MetricsSink", {}) as unknown as MetricsSink).add(batch)),
  observer: new Observer((worker, rollout, observations) =>
    (openChannel(env, "RolloutSink", { worker }) as unknown as RolloutSink).observe(rollout, observations),
  ),
}));

export default {
  fetch(request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response> {
    if (env.SLUICE_CONTROL_HOST !== "" && new URL(request.url).hostname === env.SLUICE_CONTROL_HOST) {
      return new Control(ctx, env).fetch(request);
    }
    return router.fetch(request, env, ctx);
  },
} satisfies ExportedHandler<Env>;
