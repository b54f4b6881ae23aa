/** `ratelimit`: fixed windows, counted in this process's memory and shared by all Workers that name the same namespace. */
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
    const bounds = { limit, lengthMs: period * 1000, maxKeys: LIMITS.bindings.maxRateLimitKeys };
    return { success: withinLimit(windows, `${namespace}/${period}/${key}`, bounds, Date.now()) };
  }
}
