/** Chooses a version for a URL, in an isolate that holds as many Workers as it was told to load. */
import { decideByKey } from "../../src/router/decide.ts";
import { hostOf } from "../../src/router/hosts.ts";
import { Snapshot } from "../../src/router/snapshot.ts";
import type { Split } from "../../src/router/split.ts";
import { notify } from "../../src/versions/changes.ts";
import { deploymentKey } from "../../src/versions/keys.ts";
import type { DeploymentRecord } from "../../src/versions/record.ts";
import { DEPLOYMENT, keysOf } from "../input.ts";

type Context = Pick<ExecutionContext, "waitUntil">;

let snapshot: Snapshot | undefined;
const records: DeploymentRecord[] = [];
/** The URLs of the coming requests, in order. */
let urls: string[] = [];
const keys = keysOf(36);

export default {
  async fetch(request: Request, env: { KV: KVNamespace }, ctx: ExecutionContext): Promise<Response> {
    snapshot ??= new Snapshot(env.KV);
    // No deployment must be read from KV again during the measurement.
    for (const record of records) notify(record.worker, record);
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/time") {
      const part = searchParams.get("part") === "lookup" ? lookUp : choose;
      let sum = 0;
      for (let pass = Number(searchParams.get("passes")); pass > 0; pass--) sum += part(snapshot, ctx);
      return new Response(String(sum));
    }
    const texts = (await request.json()) as string[];
    if (pathname === "/write") await Promise.all(texts.map((worker) => write(env.KV, worker)));
    else if (pathname === "/load") for (const worker of texts) await load(snapshot, worker);
    else urls = texts.map((url) => checked(snapshot as Snapshot, asReceived(url), ctx));
    return new Response();
  },
};

/** Each returns a number, so that the compiler cannot remove the work. */
function lookUp(snapshot: Snapshot, ctx: Context): number {
  let sum = 0;
  for (const url of urls) sum += find(snapshot, url, ctx).threshold;
  return sum;
}

function choose(snapshot: Snapshot, ctx: Context): number {
  let sum = 0;
  let visit = 0;
  for (const url of urls) {
    const key = keys[visit++ % keys.length];
    sum += decideByKey(find(snapshot, url, ctx), key as string).version.number;
  }
  return sum;
}

function find(snapshot: Snapshot, url: string, ctx: Context): Split {
  const split = snapshot.get(hostOf(url), ctx);
  if (split === undefined) throw new Error(`no deployment is loaded for ${url}`);
  return split;
}

function write(kv: KVNamespace, worker: string): Promise<void> {
  return kv.put(deploymentKey(worker), JSON.stringify({ ...DEPLOYMENT, worker }));
}

async function load(snapshot: Snapshot, worker: string): Promise<void> {
  const found = await snapshot.load(worker, `${worker}.localhost`);
  if (typeof found === "string") throw new Error(`the deployment of ${worker} is ${found}`);
  records.push(found.record);
}

function checked(snapshot: Snapshot, url: string, ctx: Context): string {
  const { worker } = find(snapshot, url, ctx).record;
  if (!url.startsWith(`http://${worker}.localhost/`)) throw new Error(`${url} led to ${worker}`);
  return url;
}

/** A flat string, as a request's URL is, not a concatenation. */
function asReceived(text: string): string {
  return new TextDecoder().decode(new TextEncoder().encode(text));
}
