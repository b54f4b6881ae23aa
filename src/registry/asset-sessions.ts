/**
 * An upload of assets, as wrangler makes it: a manifest, then the missing files in groups, then a token that names the
 * whole upload in the version's metadata. Part of the Worker's record, which knows the files that KV has. The files
 * themselves never pass through it.
 */

import type { Manifest } from "../assets/manifest.ts";
import { LIMITS } from "../lib/limits.ts";
import type { Database } from "./sql/index.ts";

export interface Session {
  readonly id: string;
  /** When it expires, in seconds since the epoch. */
  readonly expires: number;
  /** Prefix of the files' KV keys. The rest of a key is the file's hash. */
  readonly folder: string;
}

export interface OpenSession extends Session {
  /** Hashes of the files that KV does not have yet. */
  readonly missing: readonly string[];
}

export interface AnnouncedFiles extends Session {
  /** Announced sizes in bytes, by hash. A hash that was not announced is left out. */
  readonly sizes: Readonly<Record<string, number>>;
}

/** An upload that becomes part of a version. */
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

  /** Undefined where the session has expired. */
  announced(id: string, hashes: readonly string[]): AnnouncedFiles | undefined {
    const expires = this.#db.assets.sessionEnd(id);
    if (expires === undefined) return undefined;
    return { id, expires, folder: this.#folder(), sizes: this.#db.assets.announcedSizes(id, hashes) };
  }

  /** Records that KV has the files. @returns how many are still missing; undefined where the session has expired */
  add(id: string, hashes: readonly string[]): number | undefined {
    if (this.#db.assets.sessionEnd(id) === undefined) return undefined;
    const folder = this.#folder();
    for (const hash of hashes) this.#db.assets.add(folder + hash);
    return this.#db.assets.missingFiles(id, folder).length;
  }

  /** Undefined where the session has expired. */
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
