/**
 * An upload of assets, as wrangler makes it: a manifest, then the files that are not there yet, in groups, then a token
 * that stands for all of them in the version's metadata. Part of the Worker's record, since that says which files there
 * are; the files themselves never pass through it.
 */
import { LIMITS } from "../../limits.ts";
import type { Statements } from "../sql.ts";
import type { AssetFile } from "./types.ts";

/** The files of a folder: hash and size by path. */
export type Manifest = Readonly<Record<string, AssetFile>>;

/** A session as it stands. */
export interface SessionState {
  readonly id: string;
  /** When it ends, in seconds since the epoch. */
  readonly expires: number;
  /** Hashes of the files that are still to come. */
  readonly missing: readonly string[];
  /** Begins the KV keys of the files: the rest is the hash. */
  readonly folder: string;
  readonly manifest: Manifest;
}

export class AssetSessions {
  readonly #db: Statements;

  constructor(db: Statements) {
    this.#db = db;
  }

  /** @param now in ms since the epoch */
  open(manifest: Manifest, now: number): SessionState {
    const seconds = Math.floor(now / 1000);
    this.#db.closeSessions(seconds);
    const id = crypto.randomUUID();
    this.#db.openSession(id, manifest, seconds + LIMITS.assetSessionSeconds);
    return this.find(id) as SessionState;
  }

  /** Undefined where there is none. */
  find(id: string): SessionState | undefined {
    const session = this.#db.session(id);
    if (session === undefined) return undefined;
    const folder = this.#folder();
    const hashes = new Set(Object.values(session.manifest).map(([hash]) => hash));
    const missing = [...hashes].filter((hash) => !this.#db.hasAsset(folder + hash));
    return { id, ...session, folder, missing };
  }

  /** Notes that files are in KV. */
  add(id: string, hashes: readonly string[]): SessionState | undefined {
    const found = this.find(id);
    if (found === undefined) return undefined;
    for (const hash of hashes) this.#db.addAsset(found.folder + hash);
    return this.find(id);
  }

  #folder(): string {
    const found = this.#db.assetFolder();
    if (found !== undefined) return found;
    const folder = `asset/${crypto.randomUUID()}/`;
    this.#db.setAssetFolder(folder);
    return folder;
  }
}

/** Groups of files to send in one request each. @param missing hashes */
export function bucketsOf(manifest: Manifest, missing: readonly string[]): string[][] {
  const sizes = new Map(Object.values(manifest));
  const buckets: string[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const hash of missing) {
    const size = sizes.get(hash) ?? 0;
    const last = buckets.at(-1);
    if (
      last === undefined ||
      bytes + size > LIMITS.assetBucketBytes ||
      last.length >= LIMITS.assetBucketFiles
    ) {
      buckets.push([hash]);
      bytes = size;
    } else {
      last.push(hash);
      bytes += size;
    }
  }
  return buckets;
}
