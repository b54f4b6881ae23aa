/** `RateLimit` for a version's code: calls go to channel.ts. */
import type { Rpc } from "../../lib/rpc.ts";
import type { RateLimitBinding } from "./channel.ts";

export class Ratelimit {
  readonly #remote: Rpc<RateLimitBinding>;

  constructor(remote: Rpc<RateLimitBinding>) {
    this.#remote = remote;
  }

  async limit(options: { readonly key?: unknown }): Promise<{ readonly success: boolean }> {
    if (typeof options !== "object" || options === null) throw new Error("invalid rate limit options");
    const { key = "", ...others } = options;
    if (typeof key !== "string") throw new Error(`invalid key: ${String(key)}`);
    const unknown = Object.keys(others);
    if (unknown.length > 0) throw new Error(`bad rate limit options: [${unknown.join(",")}]`);
    return this.#remote.limit(key);
  }
}
