/** What a call to a binding costs in a version, against the same call in a plain Worker. */

import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { freePort, Sluice } from "../sluice.ts";
import { median, medianRatio, type Row, report } from "../table.ts";

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 40);
/** Sequential calls in each request. */
const CALLS = 100;
const DATE = "2026-11-17";

const CALLEE = `export default { fetch: () => new Response("here") };`;
const WORKER = `import { DurableObject } from "cloudflare:workers";
export class Room extends DurableObject {
  n = 0;
  increment() { return ++this.n; }
  fetch() { return new Response("here"); }
}
const calls = {
  kv: (env) => env.KV.get("key"),
  rpc: (env) => env.ROOM.getByName("one").increment(),
  fetch: async (env) => (await env.ROOM.getByName("one").fetch("http://room/")).text(),
  service: async (env) => (await env.SERVICE.fetch("http://service/")).text(),
};
export default { async fetch(request, env) {
  const url = new URL(request.url);
  await env.KV.put("key", "value");
  const call = calls[url.searchParams.get("call")];
  for (let i = 0; i < ${CALLS}; i++) await call(env);
  return new Response("done");
} };`;

const BINDINGS = [
  ["kv", "KV get"],
  ["rpc", "Durable Object call"],
  ["fetch", "Durable Object fetch"],
  ["service", "service binding fetch"],
] as const;

export async function measure(): Promise<Row[]> {
  const sluice = await Sluice.start();
  const plain = await startPlain();
  try {
    await sluice.deploy("callee", CALLEE);
    await sluice.deploy("caller", WORKER, {
      bindings: [
        { type: "kv_namespace", name: "KV", namespace_id: "bench" },
        { type: "durable_object_namespace", name: "ROOM", class_name: "Room" },
        { type: "service", name: "SERVICE", service: "callee" },
      ],
      migrations: { new_tag: "v1", steps: [{ new_sqlite_classes: ["Room"] }] },
    });
    const rows: Row[] = [];
    for (const [call, name] of BINDINGS) {
      rows.push(
        await compare(
          name,
          () => ask(`http://127.0.0.1:${sluice.trafficPort}/?call=${call}`, "caller.localhost"),
          () => ask(`http://127.0.0.1:${plain.port}/?call=${call}`, "plain"),
        ),
      );
    }
    return rows;
  } finally {
    await sluice.stop();
    await plain.stop();
  }
}

async function compare(name: string, ours: () => Promise<void>, plain: () => Promise<void>): Promise<Row> {
  const [samples, reference]: [number[], number[]] = [[], []];
  for (let round = -5; round < ROUNDS; round++) {
    // The order alternates between rounds. The first rounds are warm-up.
    const both = [
      [ours, samples],
      [plain, reference],
    ] as const;
    for (const [run, into] of round % 2 === 0 ? both : [...both].reverse()) {
      const started = performance.now();
      await run();
      if (round >= 0) into.push(((performance.now() - started) * 1000) / CALLS);
    }
  }
  const micros = (values: number[]) => `${median(values).toFixed(0)} µs`;
  return report(
    `${name} of a version, one after the other`,
    micros(samples),
    `in a plain Worker: ${micros(reference)}`,
    medianRatio(samples, reference),
  );
}

async function ask(url: string, host: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const outgoing = request(url, { headers: { Host: host } }, (response) => {
      response.resume();
      response.on("end", () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`${url}: ${response.statusCode}`)),
      );
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

/** The same Worker under Miniflare, on one of workerd's own sockets, as in Sluice. */
async function startPlain(): Promise<{ port: number; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
  const port = await freePort();
  const module = (contents: string) => [{ type: "ESModule" as const, path: "index.js", contents }];
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      resourcePersistencePath: folder,
      workers: [
        {
          name: "caller",
          compatibilityDate: DATE,
          modules: module(WORKER),
          kvNamespaces: { KV: "bench" },
          durableObjects: { ROOM: { className: "Room", useSQLite: true } },
          serviceBindings: { SERVICE: "callee" },
          unsafeDirectSockets: [{ host: "127.0.0.1", port }],
        },
        { name: "callee", compatibilityDate: DATE, modules: module(CALLEE) },
      ],
    }),
  );
  await miniflare.ready;
  return {
    port,
    stop: async () => {
      await miniflare.dispose();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
