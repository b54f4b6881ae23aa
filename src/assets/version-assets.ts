/** The assets of one version: which of its files, redirects, code or another version's file answers a request. */
import { RouterInnerEntrypoint } from "miniflare/dist/src/workers/assets/router.worker.js";
import type { VersionHandler } from "../router/ports.ts";
import { Answers } from "./answers.ts";
import type { FileCache } from "./files.ts";
import { isHashed } from "./hashed.ts";
import { decode, pathnameOf } from "./paths.ts";
import { withRange } from "./range.ts";
import { Server } from "./server.ts";
import type { AssetFile, AssetsConfig, StoredAssets } from "./types.ts";

interface Surroundings {
  readonly cache: FileCache;
  /** Finds the assets of another retained version of the same Worker that has a file of this path. */
  readonly retaining: (pathname: string, asking: VersionAssets) => Promise<VersionAssets | undefined>;
}

export class VersionAssets {
  readonly #cache: FileCache;
  readonly #retaining: (pathname: string) => Promise<VersionAssets | undefined>;
  /** KV key. */
  readonly set: string;
  readonly #folder: string;
  readonly #files: ReadonlyMap<string, AssetFile>;
  readonly #sizes: ReadonlyMap<string, number>;
  /** In the form that Cloudflare's asset server takes. */
  readonly #config: AssetsConfig & { readonly has_static_routing: boolean };
  /** The same, but nothing is served in place of a missing file. */
  readonly #strict: object;
  readonly #rules: { readonly asset_worker: string[]; readonly user_worker: string[] } | undefined;
  readonly #answers: Answers;
  /** Made once: every request for a file passes it on. */
  readonly #peek = (file: string) => this.#cache.peek(file);

  constructor(set: string, { folder, config, files }: StoredAssets, { cache, retaining }: Surroundings) {
    this.#cache = cache;
    this.#retaining = (pathname) => retaining(pathname, this);
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
    this.#answers = new Answers(Object.keys(config.headers.rules).some((rule) => !rule.startsWith("/")));
  }

  /** Whether code runs before the files, perhaps to protect them. */
  get isGuarded(): boolean {
    return this.#config.run_worker_first !== false;
  }

  /** @param pathname of a URL, percent-encoded */
  has(pathname: string): boolean {
    return this.#files.has(this.#inside(decode(pathname)));
  }

  /**
   * The version's handler: files first or code first, as its configuration says.
   *
   * @param code undefined if the version has only assets
   */
  handlerWith(code: VersionHandler | undefined): VersionHandler {
    if (code !== undefined && this.#config.run_worker_first === true) return code;
    return (request, env, ctx) => {
      if (this.#rules === undefined) {
        const answer = this.#answers.get(request, this.#peek);
        if (answer !== undefined) return answer;
        if (code !== undefined && this.#isForCode(request)) return code(request, env, ctx);
        if (this.#lacks(request, pathnameOf(request.url))) {
          return this.#fromAnother(request, ctx, () => this.#route(code, request, env, ctx));
        }
      }
      return this.#route(code, request, env, ctx);
    };
  }

  /** Serves a file from another retained version. @param otherwise answers if no version has the file */
  async #fromAnother(
    request: Request,
    ctx: ExecutionContext,
    otherwise: () => Promise<Response>,
  ): Promise<Response> {
    const { staticRules, rules } = this.#config.redirects;
    if (Object.keys(staticRules).length + Object.keys(rules).length > 0) {
      // The version's own redirects come first.
      const own = await this.#serve(request, ctx, this.#strict);
      if (own.status !== 404) return own;
    }
    const other = await this.#retaining(pathnameOf(request.url));
    return other === undefined ? otherwise() : other.fetch(request, ctx);
  }

  async fetch(request: Request, ctx: ExecutionContext): Promise<Response> {
    const answer = this.#answers.get(request, this.#peek);
    if (answer !== undefined) return answer;
    if (!this.#lacks(request, pathnameOf(request.url))) return this.#serve(request, ctx, this.#config);
    return this.#fromAnother(request, ctx, async () => {
      const response = await this.#serve(request, ctx, this.#strict);
      if (response.status === 404) response.headers.set("Cache-Control", "no-store");
      return response;
    });
  }

  /** Cloudflare's router: it looks for a file first, and then runs the code. */
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
    return (await this.#retaining(pathname)) !== undefined;
  }

  /** Whether a request is for a file that this version lacks and another version may have. */
  #lacks({ method }: Request, pathname: string): boolean {
    return (method === "GET" || method === "HEAD") && isHashed(pathname) && !this.has(pathname);
  }

  /**
   * Whether a request is clearly for the code: no file, redirect or not-found page can answer it, so Cloudflare's router
   * is not needed. False if in doubt.
   */
  #isForCode({ url, headers }: Request): boolean {
    const { staticRules, rules } = this.#config.redirects;
    const pathname = pathnameOf(url);
    if (pathname in staticRules || Object.keys(rules).length > 0) return false;
    if (this.#config.not_found_handling !== "none" && headers.get("Sec-Fetch-Mode") === "navigate")
      return false;
    // The router checks some paths of image services itself.
    if (pathname.startsWith("/cdn-cgi/") || pathname.endsWith("/_next/image") || pathname === "/_image")
      return false;
    if (pathname === this.#config.base_path || isHashed(pathname)) return false;
    return !this.#mayBeFile(pathname);
  }

  /** Whether a path names a file, or a page under one of its spellings. */
  #mayBeFile(pathname: string): boolean {
    const path = this.#inside(decode(pathname));
    const stem = path.replace(/(?:\/|\.html|\/index\.html|\/index)$/, "");
    return (
      this.#files.has(path) || ["", "/", ".html", "/index.html"].some((end) => this.#files.has(stem + end))
    );
  }

  /** A path relative to the base path of the assets. */
  #inside(path: string): string {
    const { base_path } = this.#config;
    return base_path === "/" || !path.startsWith(`${base_path}/`) ? path : path.slice(base_path.length);
  }

  #server(ctx: ExecutionContext, config: object): Server {
    return new Server(ctx, { CONFIG: config }, this.#files, async (hash) => {
      const size = this.#sizes.get(hash) ?? 0;
      return { size, ...(await this.#cache.read(this.#folder + hash, size)) };
    });
  }

  async #serve(request: Request, ctx: ExecutionContext, config: object): Promise<Response> {
    const server = this.#server(ctx, config);
    const response = await server.fetch(request);
    if (server.file === undefined || response.status !== 200) return response;
    response.headers.set("Accept-Ranges", "bytes");
    // Not for a stream, whose bytes are not kept, and not for a page in place of a missing file: that page is for
    // browsers that navigate, while the code may answer the same path for others.
    if (server.file.bytes !== undefined && this.#mayBeFile(pathnameOf(request.url))) {
      this.#answers.remember(request, response, this.#folder);
    }
    return withRange(request, response, server.file.size);
  }
}
