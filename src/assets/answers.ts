/**
 * Responses of one set of assets, made ahead: a file's response is the same for everyone who sends no condition, range or
 * credentials. The headers are kept here, at most `LIMITS.assets.maxAnswers` of them; the bytes are the file cache's.
 */
import { LIMITS } from "../lib/limits.ts";
import { pathnameOf } from "./paths.ts";

interface Answer {
  readonly headers: Headers;
  readonly etag: string;
  /** KV key of the file. */
  readonly file: string;
}

export class Answers {
  /** Whether headers depend on the host too. */
  readonly #byHost: boolean;
  readonly #answers = new Map<string, Answer>();

  constructor(byHost: boolean) {
    this.#byHost = byHost;
  }

  /**
   * The response to a request, if it was made ahead.
   *
   * @param peek gives a file's bytes if they are in memory; without them there is no response
   */
  get(request: Request, peek: (file: string) => Uint8Array | undefined): Response | undefined {
    if (request.method !== "GET") return undefined;
    const answer = this.#answers.get(this.#targetOf(request));
    if (answer === undefined || !isPlain(request)) return undefined;
    const { headers, etag, file } = answer;
    const known = request.headers.get("If-None-Match");
    if (known === etag || known === `W/${etag}`) return new Response(null, { status: 304, headers });
    const bytes = peek(file);
    return bytes && new Response(bytes, { headers });
  }

  /** Keeps a response's headers, if it is the same for everyone. @param folder begins the file's KV key */
  remember(request: Request, { headers }: Response, folder: string): void {
    const etag = headers.get("ETag");
    if (etag === null || request.method !== "GET" || !isPlain(request)) return;
    if (this.#answers.size >= LIMITS.assets.maxAnswers) this.#answers.clear();
    // A copy: a slice would keep the request's whole URL in memory.
    const target = this.#targetOf(request).split("").join("");
    this.#answers.set(target, { headers: new Headers(headers), etag, file: folder + etag.slice(1, -1) });
  }

  /** The part of a URL that a file's response depends on. */
  #targetOf({ url }: Request): string {
    return this.#byHost ? (url.split("?", 1)[0] as string) : pathnameOf(url);
  }
}

/** Whether a request asks for a whole file, without credentials. */
function isPlain({ headers }: Request): boolean {
  return !headers.has("Range") && !headers.has("Authorization");
}
