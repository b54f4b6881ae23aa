/** Streams through the router with isolates, against a one-line passthrough to the same code. */
import { once } from "node:events";
import { CHUNK_BYTES, eventOf } from "../input.ts";
import { cpuMicroseconds, pin, workerdPids } from "../load.ts";
import { type Echo, Streaming } from "../streaming.ts";
import { atLeast, median, medianRatio, type Row } from "../table.ts";
import { bundleBench, publish, startWorkers } from "../workerd.ts";

const ROUNDS = Number(process.env.BENCH_STREAM_ROUNDS ?? 40);
const CHUNKS = 1_600;
const EVENTS = 1_500;
const SOCKETS = 8;
const ECHO_MS = 150;
/** How long the first chunk of a stream may take while the rest is held back. */
const HELD_MS = 5_000;

type Name = "isolates" | "passthrough-one";
const NAMES: readonly Name[] = ["isolates", "passthrough-one"];

export async function measure(): Promise<Row[]> {
  const [streaming, isolates, passthrough] = await Promise.all(
    ["streaming", "isolates", "passthrough-one"].map(bundleBench),
  );
  const code = streaming?.modules[0]?.contents;
  if (typeof code !== "string") throw new Error("the version is not one module of text");
  const mf = startWorkers([
    { name: "streaming", modules: streaming?.modules },
    { name: "passthrough-one", modules: passthrough?.modules, serviceBindings: { A: "streaming" } },
    {
      name: "isolates",
      modules: isolates?.modules,
      kvNamespaces: { KV: "bench" },
      workerLoaders: { LOADER: {} },
    },
  ]);
  const clients = {} as Record<Name, Streaming>;
  try {
    await publish(mf, "isolates", () => code);
    for (const name of NAMES) clients[name] = new Streaming((await mf.unsafeGetDirectURL(name)).href);
    for (const name of NAMES) await checkUnbuffered(name, clients[name]);
    return await compareAll(clients);
  } finally {
    for (const client of Object.values(clients)) client.close();
    await mf.dispose();
  }
}

async function compareAll(clients: Readonly<Record<Name, Streaming>>): Promise<Row[]> {
  const pids = workerdPids();
  const cores = pin(pids);
  const sockets = { isolates: [] as Echo[], "passthrough-one": [] as Echo[] };
  try {
    for (const name of NAMES) {
      for (let n = 0; n < SOCKETS; n++) sockets[name].push(await clients[name].echo());
    }
    const row = (what: string, unit: string, run: (name: Name) => Promise<number>) =>
      compare(`${what}, isolates`, unit, pids, run);
    return [
      await row(`WebSocket echo over ${SOCKETS} connections`, "messages", async (name) => {
        const until = performance.now() + ECHO_MS;
        const counts = await Promise.all(sockets[name].map((socket) => socket.run(until)));
        return counts.reduce((sum, count) => sum + count);
      }),
      await row("upload of 100 MB", "MB", (name) => upload(clients[name])),
      await row("download of 100 MB", "MB", (name) => download(clients[name])),
      await row(`${EVENTS} server-sent events`, "events", (name) => events(clients[name])),
    ];
  } finally {
    for (const socket of Object.values(sockets).flat()) socket.close();
    cores?.release();
  }
}

/** Measures the two in turns. @param run returns how many units it moved */
async function compare(
  what: string,
  unit: string,
  pids: readonly number[],
  run: (name: Name) => Promise<number>,
): Promise<Row> {
  const rates = { isolates: [] as number[], "passthrough-one": [] as number[] };
  const costs = { isolates: [] as number[], "passthrough-one": [] as number[] };
  for (const name of NAMES) await run(name);
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of round % 2 === 0 ? NAMES : NAMES.toReversed()) {
      const cpu = cpuMicroseconds(pids);
      const started = performance.now();
      const units = await run(name);
      rates[name].push((units * 1000) / (performance.now() - started));
      costs[name].push((cpuMicroseconds(pids) - cpu) / units);
    }
  }
  const show = (name: Name) =>
    `${median(rates[name]).toFixed(0)} ${unit}/s, ${median(costs[name]).toFixed(1)} µs CPU each`;
  const ratio = medianRatio(rates.isolates, rates["passthrough-one"]);
  const against = `passthrough: ${show("passthrough-one")}`;
  return atLeast(0.95, { what, value: show("isolates"), against, ratio });
}

const MEGABYTE = 1_000_000;
const chunk = Buffer.alloc(CHUNK_BYTES, "x");

async function upload(client: Streaming): Promise<number> {
  const { body, answer } = client.upload("/upload");
  for (let n = 0; n < CHUNKS; n++) if (!body.write(chunk)) await once(body, "drain");
  body.end();
  const bytes = CHUNKS * CHUNK_BYTES;
  const text = await textOf(await answer);
  if (Number(text) !== bytes) throw new Error(`the version received ${text} of ${bytes} bytes`);
  return bytes / MEGABYTE;
}

async function download(client: Streaming): Promise<number> {
  let bytes = 0;
  for await (const part of await client.open(`/download?count=${CHUNKS}`)) bytes += part.length;
  if (bytes !== CHUNKS * CHUNK_BYTES) throw new Error(`the download ended after ${bytes} bytes`);
  return bytes / MEGABYTE;
}

async function events(client: Streaming): Promise<number> {
  let bytes = 0;
  let last = Buffer.alloc(0);
  const length = eventOf(0).length;
  for await (const part of await client.open(`/events?count=${EVENTS}`)) {
    bytes += part.length;
    last = Buffer.concat([last, part]).subarray(-length);
  }
  if (bytes !== EVENTS * length || last.toString() !== eventOf(EVENTS - 1)) {
    throw new Error(`the events ended with ${JSON.stringify(last.toString())} after ${bytes} bytes`);
  }
  return EVENTS;
}

/** The first chunk must arrive while the rest is held back: a router that buffers would wait for ever. */
async function checkUnbuffered(contender: string, client: Streaming): Promise<void> {
  for (const path of ["/download", "/events"]) {
    const response = await within(
      `${contender} buffers ${path}`,
      client.open(`${path}?count=2&name=${path}`),
    );
    const parts = response[Symbol.asyncIterator]();
    const first = await within(`${contender} buffers ${path}`, parts.next());
    if (first.done) throw new Error(`${contender} ended ${path} before its end was released`);
    await client.get(`/release?name=${path}`);
    while (!(await within(`${contender} does not end ${path}`, parts.next())).done);
  }
  const { body, answer } = client.upload("/upload?name=upload");
  body.write("x");
  const seen = async () => {
    while ((await client.get("/seen?name=upload")) !== "true");
  };
  await within(`${contender} buffers uploads`, seen());
  body.end("x");
  const bytes = await within(`${contender} does not end uploads`, answer.then(textOf));
  if (bytes !== "2") throw new Error(`${contender} passed ${bytes} bytes of an upload of 2`);
}

async function within<T>(why: string, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(why)), HELD_MS);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function textOf(response: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const part of response) text += part.toString();
  return text;
}
