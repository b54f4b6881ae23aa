/** What the API of storage must refuse: with a 4xx in its envelope and words that help, never with a fault. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, call, readEnvelope, uploadForm } from "../../support/client.ts";
import { disposeServer, type Server, startServer } from "../../support/server.ts";

let server: Server;
let namespace: string;
let database: string;
let queue: string;

beforeAll(async () => {
  server = await startServer();
  namespace = (await call(server, "POST", "/storage/kv/namespaces", { title: "one" })).result.id;
  database = (await call(server, "POST", "/d1/database", { name: "one" })).result.uuid;
  queue = (await call(server, "POST", "/queues", { queue_name: "one" })).result.queue_id;
  await call(server, "POST", "/r2/buckets", { name: "bucket-one" });
});

afterAll(() => disposeServer(server));

type Refused = readonly [
  what: string,
  method: string,
  path: () => string,
  body: unknown,
  status: number,
  words: RegExp,
];

const kv = (rest: string) => () => `/storage/kv/namespaces/${namespace}${rest}`;
const nowhere = (rest: string) => () => `/storage/kv/namespaces/nowhere${rest}`;
const d1 = (rest: string) => () => `/d1/database/${database}${rest}`;
const at = (path: string) => () => path;

const REFUSED: readonly Refused[] = [
  ["a namespace of no title", "POST", at("/storage/kv/namespaces"), { title: "" }, 400, /title/],
  [
    "a namespace of a title that is taken",
    "POST",
    at("/storage/kv/namespaces"),
    { title: "one" },
    400,
    /"one" already/,
  ],
  [
    "a namespace that is not there",
    "GET",
    nowhere(""),
    undefined,
    404,
    /nowhere.*wrangler kv namespace list/,
  ],
  ["its keys", "GET", nowhere("/keys"), undefined, 404, /nowhere/],
  ["its values", "GET", nowhere("/values/a"), undefined, 404, /nowhere/],
  ["writing to it", "PUT", nowhere("/values/a"), "x", 404, /nowhere/],
  ["its deletion", "DELETE", nowhere(""), undefined, 404, /nowhere/],
  ["a key that is not there", "GET", kv("/values/nothing"), undefined, 404, /nothing/],
  ["the metadata of a key that is not there", "GET", kv("/metadata/nothing"), undefined, 404, /nothing/],
  ["a list of too many keys", "GET", kv("/keys?limit=5000"), undefined, 400, /1000/],
  ["a list of no number of keys", "GET", kv("/keys?limit=many"), undefined, 400, /limit/],
  ["a value that expires too soon", "PUT", kv("/values/a?expiration_ttl=1"), "x", 400, /60/],
  ["a value that has expired", "PUT", kv("/values/a?expiration=1"), "x", 400, /expiration/],
  ["a key that is too long", "PUT", kv(`/values/${"x".repeat(600)}`), "x", 400, /key length/],
  ["pairs that are none", "PUT", kv("/bulk"), [{ key: 1 }], 400, /key/],
  [
    "pairs of bytes that are no base64",
    "PUT",
    kv("/bulk"),
    [{ key: "a", value: "&", base64: true }],
    400,
    /"a"/,
  ],
  ["a bulk of no keys", "POST", kv("/bulk/get"), {}, 400, /keys/],
  ["a new title that is taken", "PUT", kv(""), { title: 5 }, 400, /title/],
  ["a bucket of a name that is none", "POST", at("/r2/buckets"), { name: "No Bucket" }, 400, /lower-case/],
  ["a bucket that is there", "POST", at("/r2/buckets"), { name: "bucket-one" }, 400, /already/],
  [
    "a bucket that is not there",
    "GET",
    at("/r2/buckets/nowhere"),
    undefined,
    404,
    /nowhere.*wrangler r2 bucket list/,
  ],
  ["an object of it", "GET", at("/r2/buckets/nowhere/objects/a"), undefined, 404, /nowhere/],
  ["writing an object to it", "PUT", at("/r2/buckets/nowhere/objects/a"), "x", 404, /nowhere/],
  ["an object that is not there", "GET", at("/r2/buckets/bucket-one/objects/a/b"), undefined, 404, /a\/b/],
  [
    "an object whose name is no text",
    "GET",
    at("/r2/buckets/bucket-one/objects/%ff"),
    undefined,
    400,
    /name/,
  ],
  [
    "an object of too long a name",
    "PUT",
    at(`/r2/buckets/bucket-one/objects/${"x".repeat(1100)}`),
    "x",
    400,
    /name|key/i,
  ],
  ["a database of no name", "POST", at("/d1/database"), {}, 400, /name/],
  [
    "a database that is not there",
    "GET",
    at("/d1/database/nowhere"),
    undefined,
    404,
    /nowhere.*wrangler d1 list/,
  ],
  ["a query of it", "POST", at("/d1/database/nowhere/query"), { sql: "SELECT 1" }, 404, /nowhere/],
  ["a query that is none", "POST", d1("/query"), { sql: "SELEC 1" }, 400, /syntax error/],
  ["a query of nothing", "POST", d1("/query"), {}, 400, /sql|Invalid/],
  ["a query with parameters of no type", "POST", d1("/query"), { sql: "SELECT ?", params: [{}] }, 400, /./],
  [
    "a query with too few parameters",
    "POST",
    d1("/raw"),
    { sql: "SELECT ?, ?", params: [1] },
    400,
    /parameter/,
  ],
  ["an import of no digest", "POST", d1("/import"), { action: "init" }, 400, /etag/],
  [
    "an import of what was not uploaded",
    "POST",
    d1("/import"),
    { action: "ingest", filename: "00000000-0000-4000-8000-000000000000" },
    400,
    /not uploaded/,
  ],
  [
    "an upload to an address that nobody was given",
    "PUT",
    d1(`/import/00000000-0000-4000-8000-000000000000?md5=${"0".repeat(32)}&signature=x`),
    "SELECT 1",
    401,
    /import has this URL/,
  ],
  ["a queue of no name", "POST", at("/queues"), { queue_name: "a b" }, 400, /queue_name/],
  ["a queue that is there", "POST", at("/queues"), { queue_name: "one" }, 400, /already/],
  [
    "a queue that is not there",
    "GET",
    at("/queues/nowhere"),
    undefined,
    404,
    /nowhere.*wrangler queues list/,
  ],
  ["a consumer that pulls", "POST", () => `/queues/${queue}/consumers`, { type: "http_pull" }, 400, /worker/],
  [
    "a batch of 101",
    "POST",
    () => `/queues/${queue}/consumers`,
    { type: "worker", script_name: "w", settings: { batch_size: 101 } },
    400,
    /batch_size/,
  ],
  [
    "a consumer that is not there",
    "DELETE",
    () => `/queues/${queue}/consumers/nobody`,
    undefined,
    404,
    /nobody/,
  ],
];

describe("refused with words that help:", () => {
  test.each(REFUSED)("%s", async (_, method, path, body, status, words) => {
    const init = body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) };
    const reply = await readEnvelope(await server.api(method, path(), init));
    expect([reply.status, reply.errors[0]?.message]).toEqual([status, expect.stringMatching(words)]);
  });

  test.each(["POST", "PUT"])("a body that is no JSON, with %s", async (method) => {
    const paths =
      method === "POST"
        ? ["/storage/kv/namespaces", "/r2/buckets", "/d1/database", "/queues"]
        : [kv("/bulk")()];
    for (const path of paths) {
      const reply = await readEnvelope(await server.api(method, path, { body: "{" }));
      expect([reply.status, reply.errors[0]?.message]).toEqual([400, expect.stringContaining("not JSON")]);
    }
  });
});

test("an upload that does not start makes none of the resources that it names", async () => {
  const form = uploadForm({
    modules: { "index.js": { content: "throw new Error('no');" } },
    metadata: {
      bindings: [
        { type: "kv_namespace", name: "KV", namespace_id: "never-made" },
        { type: "r2_bucket", name: "R2", bucket_name: "never-made" },
        { type: "d1", name: "DB", id: "never-made" },
        { type: "queue", name: "QUEUE", queue_name: "never-made" },
      ],
    },
  });
  expect((await call(server, "PUT", "/workers/scripts/refused", form)).status).toBe(400);
  for (const path of ["/storage/kv/namespaces", "/r2/buckets", "/d1/database", "/queues"]) {
    expect(JSON.stringify((await call(server, "GET", path)).result)).not.toContain("never-made");
  }
});

describe("an upload is refused, and neither a Worker nor a resource is left behind, for", () => {
  test.each<[string, object, RegExp]>([
    ["a KV namespace without an id", { type: "kv_namespace", name: "B" }, /"B".*namespace_id/],
    [
      "an id that would leave its namespace",
      { type: "kv_namespace", name: "B", namespace_id: "a/b" },
      /namespace_id/,
    ],
    [
      "a bucket of a name that is none",
      { type: "r2_bucket", name: "B", bucket_name: "../other" },
      /bucket_name/,
    ],
    ["a database without an id", { type: "d1", name: "B" }, /"B".*id/],
    ["a queue of a name that is none", { type: "queue", name: "B", queue_name: "a/b" }, /queue_name/],
    [
      "a limit of nothing",
      { type: "ratelimit", name: "B", namespace_id: "1", simple: { limit: 0, period: 60 } },
      /limit/,
    ],
    [
      "a limit of a period that is none",
      { type: "ratelimit", name: "B", namespace_id: "1", simple: { limit: 1, period: 5 } },
      /10 or 60/,
    ],
    ["a dataset of a name that is none", { type: "analytics_engine", name: "B", dataset: "a b" }, /dataset/],
    [
      "a class that is no name",
      { type: "durable_object_namespace", name: "B", class_name: "a;b" },
      /class_name/,
    ],
    [
      "a class that no migration made",
      { type: "durable_object_namespace", name: "B", class_name: "Room" },
      /new_sqlite_classes/,
    ],
    [
      "a class of a Worker that is not there",
      { type: "durable_object_namespace", name: "B", class_name: "Room", script_name: "nobody" },
      /nobody/,
    ],
    ["a service that is not there", { type: "service", name: "B", service: "nobody" }, /nobody/],
  ])("%s", async (_, binding, words) => {
    const other = { type: "kv_namespace", name: "KV", namespace_id: "never-made" };
    const form = uploadForm({ ...answering("no"), metadata: { bindings: [other, binding] } });
    const reply = await call(server, "PUT", "/workers/scripts/refused", form);
    expect([reply.status, reply.errors[0]?.message]).toEqual([400, expect.stringMatching(words)]);
    expect((await call(server, "GET", "/workers/services/refused")).status).toBe(404);
    const left = await Promise.all(
      ["/storage/kv/namespaces", "/d1/database", "/queues"].map(
        async (path) => (await call(server, "GET", path)).result.length,
      ),
    );
    expect(left).toEqual([1, 1, 1]);
  });
});
