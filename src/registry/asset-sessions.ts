/**
 * An upload of assets, as wrangler makes it: a manifest, then the files that are not there yet, in groups, then a token
 * that stands for all of them in the version's metadata. Part of the Worker's record, since that says which files there
 * are; the files themselves never pass through it.
 */

import type { Manifest } from "../assets/manifest.ts";
import { LIMITS } from "../lib/limits.ts";
import type { Database } from "./sql/index.ts";

/** An upload of assets. */
export interface Session {
  readonly id: string;
  /** When it ends, in seconds since the epoch. */
  readonly expires: number;
  /** Begins the KV keys of the files: the rest is the hash. */
  readonly folder: string;
}

/** One that has begun, with the hashes of the files that are still to come. */
export interface OpenSession extends Session {
  readonly missing: readonly string[];
}

/** One that files came for, with the announced sizes in bytes of those that were announced. */
export interface AnnouncedFiles extends Session {
  readonly sizes: Readonly<Record<string, number>>;
}

/** One that a version is to be made of. */
export interface ClaimedFiles extends OpenSession {
  readonly manifest: Manifest;
}

export class AssetSessions {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** @param now in ms since the epoch */
  open(manifest: Manifest, now: number): OpenSession {
    const seconds = Math.floor(now / 1000);
    this.#db.assets.closeSessions(seconds);
    const session = { id: crypto.randomUUID(), expires: seconds + LIMITS.assets.assetSessionSeconds };
    this.#db.assets.openSession(session.id, manifest, session.expires);
    const folder = this.#folder();
    return { ...session, folder, missing: this.#db.assets.missingFiles(session.id, folder) };
  }

  /** Undefined where there is none. */
  announced(id: string, hashes: readonly string[]): AnnouncedFiles | undefined {
    const expires = this.#db.assets.sessionEnd(id);
    if (expires === undefined) return undefined;
    return { id, expires, folder: this.#folder(), sizes: this.#db.assets.announcedSizes(id, hashes) };
  }

  /** Notes that files are in KV. @returns how many are still to come */
  add(id: string, hashes: readonly string[]): number | undefined {
    if (this.#db.assets.sessionEnd(id) === undefined) return undefined;
    const folder = this.#folder();
    for (const hash of hashes) this.#db.assets.add(folder + hash);
    return this.#db.assets.missingFiles(id, folder).length;
  }

  claim(id: string): ClaimedFiles | undefined {
    const expires = this.#db.assets.sessionEnd(id);
    if (expires === undefined) return undefined;
    const folder = this.#folder();
    return {
      id,
      expires,
      folder,
      missing: this.#db.assets.missingFiles(id, folder),
      manifest: this.#db.assets.manifestOf(id),
    };
  }

  #folder(): string {
    const found = this.#db.assets.folder();
    if (found !== undefined) return found;
    const folder = `asset/${crypto.randomUUID()}/`;
    this.#db.assets.setFolder(folder);
    return folder;
  }
}
