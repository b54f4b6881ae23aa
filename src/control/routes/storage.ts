/** What Workers are bound to, as wrangler manages it: path, guards, handler. */
import { Hono } from "hono";
import type { ControlEnv } from "../context.ts";
import { consumer, database, json, noConsumer, resource } from "../guards.ts";
import * as d1 from "../resources/d1.ts";
import * as d1Import from "../resources/d1-import.ts";
import * as kv from "../resources/kv.ts";
import * as queues from "../resources/queues.ts";
import * as r2 from "../resources/r2.ts";

/** `/accounts/{account}/storage/kv`. */
export function kvRoutes(): Hono<ControlEnv> {
  const app = new Hono<ControlEnv>();
  app.get("/namespaces", kv.listNamespaces);
  app.post("/namespaces", json(kv.titleBody), (c) => kv.createNamespace(c, c.req.valid("json")));
  app.get("/namespaces/:namespace", resource("kv", "namespace"), (c) => kv.getNamespace(c.var.resource));
  app.put("/namespaces/:namespace", json(kv.titleBody), (c) => kv.renameNamespace(c, c.req.valid("json")));
  app.delete("/namespaces/:namespace", kv.deleteNamespace);
  app.use("/namespaces/:namespace/*", resource("kv", "namespace"));
  app.get("/namespaces/:namespace/keys", kv.listKeys);
  app.get("/namespaces/:namespace/values/:key", kv.getValue);
  app.put("/namespaces/:namespace/values/:key", kv.putValue);
  app.delete("/namespaces/:namespace/values/:key", kv.deleteValue);
  app.get("/namespaces/:namespace/metadata/:key", kv.getMetadata);
  app.put("/namespaces/:namespace/bulk", json(kv.bulkPut), (c) => kv.putBulk(c, c.req.valid("json")));
  app.delete("/namespaces/:namespace/bulk", json(kv.keyList), (c) => kv.deleteBulk(c, c.req.valid("json")));
  app.post("/namespaces/:namespace/bulk/delete", json(kv.keyList), (c) =>
    kv.deleteBulk(c, c.req.valid("json")),
  );
  app.post("/namespaces/:namespace/bulk/get", json(kv.bulkGet), (c) => kv.getBulk(c, c.req.valid("json")));
  return app;
}

/** `/accounts/{account}/d1`. */
export function d1Routes(): Hono<ControlEnv> {
  const app = new Hono<ControlEnv>();
  app.get("/database", d1.listDatabases);
  app.post("/database", json(d1.nameBody), (c) => d1.createDatabase(c, c.req.valid("json")));
  app.get("/database/:database", database, (c) => d1.getDatabase(c, c.var.resource));
  app.delete("/database/:database", database, (c) => d1.deleteDatabase(c, c.var.resource));
  app.post("/database/:database/query", database, json(d1.queryBody), (c) =>
    d1.queryDatabase(c, c.var.resource, c.req.valid("json")),
  );
  app.post("/database/:database/raw", database, json(d1.queryBody), (c) =>
    d1.rawDatabase(c, c.var.resource, c.req.valid("json")),
  );
  app.post("/database/:database/import", database, json(d1Import.importBody), (c) =>
    d1Import.importFile(c, c.var.resource, c.req.valid("json")),
  );
  return app;
}

/** `/accounts/{account}/r2`. */
export function r2Routes(): Hono<ControlEnv> {
  const app = new Hono<ControlEnv>();
  app.get("/buckets", r2.listBuckets);
  app.post("/buckets", json(r2.bucketBody), (c) => r2.createBucket(c, c.req.valid("json")));
  app.get("/buckets/:bucket", resource("r2", "bucket"), (c) => r2.getBucket(c.var.resource));
  app.delete("/buckets/:bucket", resource("r2", "bucket"), r2.deleteBucket);
  app.use("/buckets/:bucket/objects/*", resource("r2", "bucket"));
  app.get("/buckets/:bucket/objects/*", r2.getObject);
  app.put("/buckets/:bucket/objects/*", r2.putObject);
  app.delete("/buckets/:bucket/objects/*", r2.deleteObject);
  return app;
}

/** `/accounts/{account}/queues`. */
export function queueRoutes(): Hono<ControlEnv> {
  const app = new Hono<ControlEnv>();
  const queue = resource("queue", "queue");
  app.get("/queues", queues.listQueues);
  app.post("/queues", json(queues.queueBody), (c) => queues.createQueue(c, c.req.valid("json")));
  app.get("/queues/:queue", queue, (c) => queues.getQueue(c, c.var.resource));
  app.delete("/queues/:queue", queue, (c) => queues.deleteQueue(c, c.var.resource));
  app.post("/queues/:queue/purge", queue, (c) => queues.purgeQueue(c, c.var.resource));
  app.get("/queues/:queue/consumers", queue, (c) => queues.listConsumers(c, c.var.resource));
  app.post("/queues/:queue/consumers", queue, noConsumer, json(queues.consumerBody), (c) =>
    queues.createConsumer(c, c.var.resource, c.req.valid("json")),
  );
  app.put("/queues/:queue/consumers/:consumer", queue, consumer, json(queues.consumerBody), (c) =>
    queues.updateConsumer(c, c.var.resource, c.req.valid("json")),
  );
  app.delete("/queues/:queue/consumers/:consumer", queue, consumer, (c) =>
    queues.deleteConsumer(c, c.var.resource),
  );
  return app;
}
