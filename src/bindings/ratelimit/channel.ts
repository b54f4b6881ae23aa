/** `ratelimit`: fixed windows, counted in the memory of one process for all Workers that name the same namespace. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { LIMITS } from "../../lib/limits.ts";
import { type Windows, withinLimit } from "./windows.ts";

interface Props {
  readonly namespace: string;
  /** Calls that succeed in each period. */
  readonly limit: number;
  /** Seconds. */
  readonly period: number;
}

const windows: Windows = new Map();

export class RateLimitBinding extends WorkerEntrypoint<Env, Props> {
  limit(key: string): { readonly success: boolean } {
    const { namespace, limit, period } = this.ctx.props;
    const name = `${namespace}/${period}/${key}`;
    const { maxRateLimitKeys: maxKeys } = LIMITS.bindings;
    const success = withinLimit(windows, name, { limit, lengthMs: period * 1000, maxKeys }, Date.now());
    return { success };
  }
}
