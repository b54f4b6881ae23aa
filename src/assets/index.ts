import { RouterInnerEntrypoint } from "miniflare/dist/src/workers/assets/router.worker.js";
import parseRange from "range-parser";
import { LIMITS } from "../lib/limits.ts";
import { pathOf } from "../router/hosts.ts";
import type { VersionHandler } from "../router/ports.ts";
import type { Retained } from "../versions/types.ts";
import { isHashed } from "./hashed.ts";
import { type OpenedFile, Server } from "./server.ts";
import type { AssetFile, AssetMetadata, AssetsConfig, StoredAssets } from "./types.ts";

interface CachedFile {
  readonly bytes: Uint8Array;
  readonly contentType: string | undefined;
}

/** The assets that this isolate has read, at most `LIMITS.assets.maxAssetSets` sets and `LIMITS.assets.assetCacheBytes` of small files. */
export class AssetStore {
  readonly #kv: KVNamespace;
  readonly #retained: (worker: string) => Promise<readonly Retained[]>;
  /** Both by KV key; insertion order is the order of last use. */
  readonly #sets = new Map<string, Assets>();
  readonly #files = new Map<string, CachedFile>();
  #cachedBytes = 0;

  /** @param retained the versions of a Worker whose files may be asked for, in the order in which to look */
  constructor(kv: KVNamespace, retained: (worker: string) => Promise<readonly Retained[]>) {
    this.#kv = kv;
    this.#retained = retained;
  }

  /** Rejects where they are not in KV. @param set KV key */
  async load(worker: string, set: string): Promise<Assets> {
    const held = this.#sets.get(set);
    if (held !== undefined) {
      this.#sets.delete(set);
      this.#sets.set(set, held);
      return held;
    }
    const stored = await this.#kv.get<StoredAssets>(set, { type: "json", cacheTtl: 86_400 });
    if (stored === null) throw new Error("its assets are not in KV");
    const assets = new Assets(this, worker, set, stored);
    this.#sets.set(set, assets);
    const oldest = this.#sets.keys().next().value;
    if (this.#sets.size > LIMITS.assets.maxAssetSets && oldest !== undefined) this.#sets.delete(oldest);
    return assets;
  }

  /**
   * The assets of another retained version that has a file of this path. A set that cannot be read has none. Rejects where it
   * cannot be known which versions are retained.
   */
  async retaining(worker: string, pathname: string, asking: Assets): Promise<Assets | undefined> {
    const now = Date.now();
    const seen = new Set([asking.set]);
    for (const { set, until } of await this.#retained(worker)) {
      if (seen.has(set) || (until !== null && until <= now)) continue;
      seen.add(set);
      const assets = await this.load(worker, set).catch(() => undefined);
      // Files that code stands in front of are only for code to ask for.
      if (assets?.has(pathname) && (!assets.isGuarded || asking.isGuarded)) return assets;
    }
    return undefined;
  }

  /** @param size in bytes @returns the whole file, or a stream of it where it is large */
  async read(
    key: string,
    size: number,
  ): Promise<CachedFile | (Omit<CachedFile, "bytes"> & { stream: ReadableStream })> {
    const cached = this.#files.get(key);
    if (cached !== undefined) {
      this.#files.delete(key);
      this.#files.set(key, cached);
      return cached;
    }
    const options = { type: "stream", cacheTtl: 86_400 } as const;
    const { value, metadata } = await this.#kv.getWithMetadata<AssetMetadata>(key, options);
    if (value === null) throw new Error(`the file ${key} is not in KV`);
    const contentType = metadata?.contentType ?? undefined;
    if (size > LIMITS.assets.maxCachedAssetBytes) {
      return { stream: value.pipeThrough(new FixedLengthStream(size)), contentType };
    }
    const file = { bytes: new Uint8Array(await new Response(value).arrayBuffer()), contentType };
    this.#remember(key, file);
    return file;
  }

  /** A file that is in memory. */
  peek(key: string): Uint8Array | undefined {
    return this.#files.get(key)?.bytes;
  }

  #remember(key: string, file: CachedFile): void {
    if (this.#files.has(key)) return;
    this.#files.set(key, file);
    this.#cachedBytes += file.bytes.byteLength;
    for (const [oldest, { bytes }] of this.#files) {
      if (this.#cachedBytes <= LIMITS.assets.assetCacheBytes) return;
      this.#files.delete(oldest);
      this.#cachedBytes -= bytes.byteLength;
    }
  }
}

/** A file's response as the server made it once: it is the same for everybody who sends no condition, range or credentials. */
interface Answer {
  readonly headers: Headers;
  readonly etag: string;
  /** KV key of the file. */
  readonly key: string;
}

/** The assets of a version. */
class Assets {
  readonly #store: AssetStore;
  readonly #worker: string;
  /** KV key. */
  readonly set: string;
  readonly #folder: string;
  readonly #files: ReadonlyMap<string, AssetFile>;
  readonly #sizes: ReadonlyMap<string, number>;
  /** As Cloudflare's server takes it; the second one never serves something in place of a missing file. */
  readonly #config: AssetsConfig & { readonly has_static_routing: boolean };
  readonly #strict: object;
  readonly #rules: { readonly asset_worker: string[]; readonly user_worker: string[] } | undefined;
  /** Whether headers depend on the host as well. */
  readonly #byHost: boolean;
  /** Bounded by `LIMITS.assets.maxAnswers`. */
  readonly #answers = new Map<string, Answer>();

  constructor(store: AssetStore, worker: string, set: string, { folder, config, files }: StoredAssets) {
    this.#store = store;
    this.#worker = worker;
    this.set = set;
    this.#folder = folder;
    this.#files = new Map(Object.entries(files));
    this.#sizes = new Map(Object.values(files));
    const { run_worker_first } = config;
    if (typeof run_worker_first === "object") {
      this.#rules = {
        asset_worker: run_worker_first.filter((rule) => rule.startsWith("!")).map((rule) => rule.slice(1)),
        user_worker: run_worker_first.filter((rule) => !rule.startsWith("!")),
      };
    }
    this.#config = { ...config, has_static_routing: this.#rules !== undefined };
    this.#strict = { ...this.#config, not_found_handling: "none" };
    this.#byHost = Object.keys(config.headers.rules).some((rule) => !rule.startsWith("/"));
  }

  /** Whether code is asked before the files, which may be for a reason. */
  get isGuarded(): boolean {
    return this.#config.run_worker_first !== false;
  }

  /** @param pathname of a URL */
  has(pathname: string): boolean {
    return this.#files.has(this.#inside(decode(pathname)));
  }

  /** Files first or code first, as the version's configuration says. @param code undefined where there is none */
  handlerWith(code: VersionHandler | undefined): VersionHandler {
    if (code !== undefined && this.#config.run_worker_first === true) return code;
    return (request, env, ctx) => {
      if (this.#rules === undefined) {
        const answer = this.#answerTo(request);
        if (answer !== undefined) return answer;
        if (code !== undefined && this.#isForCode(request)) return code(request, env, ctx);
        if (this.#lacks(request, pathnameOf(request.url))) {
          return this.#fromAnother(request, ctx, () => this.#route(code, request, env, ctx));
        }
      }
      return this.#route(code, request, env, ctx);
    };
  }

  /** @param otherwise what to do where no other version has the file */
  async #fromAnother(
    request: Request,
    ctx: ExecutionContext,
    otherwise: () => Promise<Response>,
  ): Promise<Response> {
    const { staticRules, rules } = this.#config.redirects;
    if (Object.keys(staticRules).length + Object.keys(rules).length > 0) {
      // What the version says of the path itself comes first.
      const own = await this.#serve(request, ctx, this.#strict);
      if (own.status !== 404) return own;
    }
    const other = await this.#store.retaining(this.#worker, pathnameOf(request.url), this);
    return other === undefined ? otherwise() : other.fetch(request, ctx);
  }

  async fetch(request: Request, ctx: ExecutionContext): Promise<Response> {
    const answer = this.#answerTo(request);
    if (answer !== undefined) return answer;
    if (!this.#lacks(request, pathnameOf(request.url))) return this.#serve(request, ctx, this.#config);
    return this.#fromAnother(request, ctx, async () => {
      const response = await this.#serve(request, ctx, this.#strict);
      if (response.status === 404) response.headers.set("Cache-Control", "no-store");
      return response;
    });
  }

  /** Cloudflare's router, which asks whether there is a file before it asks the code. */
  #route(
    code: VersionHandler | undefined,
    request: Request,
    env: unknown,
    ctx: ExecutionContext,
  ): Promise<Response> {
    return new RouterInnerEntrypoint(ctx, {
      CONFIG: {
        has_user_worker: code !== undefined,
        ...(this.#rules === undefined ? {} : { static_routing: this.#rules }),
      },
      ASSET_WORKER: {
        fetch: (asked: Request) => this.fetch(asked, ctx),
        unstable_canFetch: (asked: Request) => this.#canFetch(asked, ctx),
      },
      USER_WORKER: { fetch: (asked: Request) => code?.(asked, env, ctx) },
    }).fetch(request);
  }

  async #canFetch(request: Request, ctx: ExecutionContext): Promise<boolean> {
    const pathname = pathnameOf(request.url);
    if (!this.#lacks(request, pathname)) return this.#server(ctx, this.#config).unstable_canFetch(request);
    if (await this.#server(ctx, this.#strict).unstable_canFetch(request)) return true;
    return (await this.#store.retaining(this.#worker, pathname, this)) !== undefined;
  }

  /** Whether something is asked for that another version may have. */
  #lacks({ method }: Request, pathname: string): boolean {
    return (method === "GET" || method === "HEAD") && isHashed(pathname) && !this.has(pathname);
  }

  /**
   * Whether no file, redirect or page in place of a missing one can be meant, so that the router need not be asked. Says no
   * where that is not plain.
   */
  #isForCode({ url, headers }: Request): boolean {
    const { staticRules, rules } = this.#config.redirects;
    const pathname = pathnameOf(url);
    if (pathname in staticRules || Object.keys(rules).length > 0) return false;
    if (this.#config.not_found_handling !== "none" && headers.get("Sec-Fetch-Mode") === "navigate")
      return false;
    // Some addresses of image services get a check of the router's own.
    if (pathname.startsWith("/cdn-cgi/") || pathname.endsWith("/_next/image") || pathname === "/_image")
      return false;
    if (pathname === this.#config.base_path || isHashed(pathname)) return false;
    return !this.#mayBeFile(pathname);
  }

  /** Whether one of the files is, or would be as a page, what a path asks for. */
  #mayBeFile(pathname: string): boolean {
    const path = this.#inside(decode(pathname));
    const stem = path.replace(/(?:\/|\.html|\/index\.html|\/index)$/, "");
    return (
      this.#files.has(path) || ["", "/", ".html", "/index.html"].some((end) => this.#files.has(stem + end))
    );
  }

  /** A path without the one that all assets are below. */
  #inside(path: string): string {
    const { base_path } = this.#config;
    return base_path === "/" || !path.startsWith(`${base_path}/`) ? path : path.slice(base_path.length);
  }

  #server(ctx: ExecutionContext, config: object): Server {
    return new Server(ctx, { CONFIG: config }, this.#files, async (hash) => {
      const size = this.#sizes.get(hash) ?? 0;
      return { size, ...(await this.#store.read(this.#folder + hash, size)) };
    });
  }

  async #serve(request: Request, ctx: ExecutionContext, config: object): Promise<Response> {
    const server = this.#server(ctx, config);
    const response = await server.fetch(request);
    if (server.file === undefined || response.status !== 200) return response;
    response.headers.set("Accept-Ranges", "bytes");
    this.#remember(request, response, server.file);
    return withRange(request, response, server.file.size);
  }

  /** The response that was made before, where the file is still in memory. */
  #answerTo(request: Request): Response | undefined {
    if (request.method !== "GET") return undefined;
    const answer = this.#answers.get(this.#addressOf(request));
    if (answer === undefined || !isPlain(request)) return undefined;
    const { headers, etag, key } = answer;
    const known = request.headers.get("If-None-Match");
    if (known === etag || known === `W/${etag}`) return new Response(null, { status: 304, headers });
    const bytes = this.#store.peek(key);
    return bytes && new Response(bytes, { headers });
  }

  #remember(request: Request, response: Response, { bytes }: OpenedFile): void {
    const etag = response.headers.get("ETag");
    if (bytes === undefined || etag === null || request.method !== "GET" || !isPlain(request)) return;
    // A page in place of a missing one is only for those who navigate: to others the code may have an answer.
    if (!this.#mayBeFile(pathnameOf(request.url))) return;
    if (this.#answers.size >= LIMITS.assets.maxAnswers) this.#answers.clear();
    const key = this.#folder + etag.slice(1, -1);
    // A string of its own: a slice would keep its request's URL.
    const address = this.#addressOf(request).split("").join("");
    this.#answers.set(address, { headers: new Headers(response.headers), etag, key });
  }

  /** What a file's response depends on. */
  #addressOf({ url }: Request): string {
    return this.#byHost ? (url.split("?", 1)[0] as string) : pathnameOf(url);
  }
}

/** Whether a request asks for a whole file, as anybody does. */
function isPlain({ headers }: Request): boolean {
  return !headers.has("Range") && !headers.has("Authorization");
}

/** The path of a request's URL, as it was written: cheaper than parsing it. */
function pathnameOf(url: string): string {
  const path = pathOf(url);
  const end = path.search(/[?#]/);
  return end === -1 ? path : path.slice(0, end);
}

/** One range of a file, where the client asks for one and has the same file (RFC 9110, 14). Several are sent as a whole. */
async function withRange(request: Request, response: Response, size: number): Promise<Response> {
  const asked = request.method === "GET" ? request.headers.get("Range") : null;
  const condition = request.headers.get("If-Range");
  if (asked === null || (condition !== null && condition !== response.headers.get("ETag"))) return response;
  const ranges = parseRange(size, asked, { combine: true });
  if (ranges === -1) {
    await response.body?.cancel();
    const headers = { "Content-Range": `bytes */${size}`, "Cache-Control": "no-store" };
    return new Response(null, { status: 416, headers });
  }
  const [range] = ranges === -2 ? [] : ranges;
  if (ranges === -2 || ranges.type !== "bytes" || ranges.length !== 1 || range === undefined) return response;
  const headers = new Headers(response.headers);
  headers.set("Content-Range", `bytes ${range.start}-${range.end}/${size}`);
  const whole = await response.arrayBuffer();
  return new Response(whole.slice(range.start, range.end + 1), { status: 206, headers });
}

function decode(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname;
  }
}
