/** The Durable Objects of release 0.1, opened where they are: their namespaces have the old keys and the old folder. */
import { DurableObject } from "cloudflare:workers";
import type { LegacyEnv } from "./env.ts";
import { entriesAfter, objectsAfter, unfinishedUploads } from "./tables.ts";
import type { OldEntry, OldObject } from "./types.ts";

/** A KV namespace, by its name. */
export class LegacyKv extends DurableObject<LegacyEnv> {
  entriesAfter(after: string | null, limit: number): OldEntry[] {
    return entriesAfter(this.ctx.storage.sql, after, limit);
  }
}

/** A bucket, by its name. */
export class LegacyR2 extends DurableObject<LegacyEnv> {
  objectsAfter(after: string | null, limit: number): OldObject[] {
    return objectsAfter(this.ctx.storage.sql, after, limit);
  }

  unfinishedUploads(): number {
    return unfinishedUploads(this.ctx.storage.sql);
  }
}
