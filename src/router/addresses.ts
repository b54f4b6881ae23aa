/** Where a request wants to go, as far as its host does not say so itself: routes, custom domains and previews, from KV. */
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { onRoutes } from "../versions/changes.ts";
import type { PreviewRecord, RoutesRecord } from "../versions/record.ts";
import { readPreview, readRoutes } from "../versions/replica.ts";
import { pathOf, withoutPort } from "./hosts.ts";
import { type CompiledRoutes, compileRoutes, isWholeHost, NO_ROUTES, workerAt } from "./routes.ts";

export class Addresses {
  readonly #kv: KVNamespace;
  readonly #refreshMs: number;
  /** Told when hosts may lead elsewhere than before. */
  readonly #changed: () => void;
  #routes: CompiledRoutes = NO_ROUTES;
  /** When it should be read again, in ms since the epoch; 0 until it was read once. */
  #refreshAt = 0;
  /** Labels that KV did not have, and until when that is believed. */
  readonly #absentUntil = new Map<string, number>();

  /** @param refreshMs age at which routes are read again */
  constructor(kv: KVNamespace, refreshMs: number, changed: () => void) {
    this.#kv = kv;
    this.#refreshMs = refreshMs;
    this.#changed = changed;
    onRoutes((record) => this.#adopt(record));
  }

  /** The Worker of a route or a custom domain, without I/O. @param host as the request has it */
  workerAt(host: string, url: string): string | undefined {
    const { exact, wildcards } = this.#routes;
    if (exact.size === 0 && wildcards.length === 0) return undefined;
    return workerAt(this.#routes, withoutPort(host.toLowerCase()), pathOf(url));
  }

  /** Whether every path of a host leads to the same place. */
  isWholeHost(host: string): boolean {
    return isWholeHost(this.#routes, withoutPort(host.toLowerCase()));
  }

  /** Reads the routes where they are due. Never rejects: what is held stays. @returns whether they are known */
  async refresh(): Promise<boolean> {
    const now = Date.now();
    if (now < this.#refreshAt) return true;
    // Until they are known, every request that needs them reads for itself.
    if (this.#refreshAt > 0) this.#refreshAt = now + this.#refreshMs;
    try {
      const record = await readRoutes(this.#kv);
      this.#refreshAt = Date.now() + this.#refreshMs;
      if (record !== null) this.#adopt(record);
    } catch (error) {
      log("error", "routes-unreadable", { why: String(error), revision: this.#routes.revision });
    }
    return this.#refreshAt > 0;
  }

  #adopt(record: RoutesRecord): void {
    if (record.revision <= this.#routes.revision) return;
    this.#routes = compileRoutes(record);
    this.#changed();
  }

  /** The version behind a hostname of its own; undefined where there is none, or KV does not say. */
  async preview(label: string): Promise<PreviewRecord | undefined> {
    if (label.length > LIMITS.snapshot.maxLabelLength || !label.includes("-")) return undefined;
    if ((this.#absentUntil.get(label) ?? 0) > Date.now()) return undefined;
    try {
      const found = await readPreview(this.#kv, label);
      if (found !== null) return found;
      if (this.#absentUntil.size >= LIMITS.snapshot.maxAbsent) this.#absentUntil.clear();
      this.#absentUntil.set(label, Date.now() + LIMITS.snapshot.absentMs);
      return undefined;
    } catch (error) {
      log("error", "preview-unreadable", { label, why: String(error) });
      return undefined;
    }
  }
}
