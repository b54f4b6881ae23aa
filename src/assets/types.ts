/** How the assets of versions are stored and served. */
import type { HeaderRules, RedirectRules } from "./rules.ts";

/** A file of a version's assets. */
export type AssetFile = readonly [
  /** 32 hexadecimal digits, from wrangler; also its ETag. */
  hash: string,
  /** Bytes. */
  size: number,
];

/** How a version's assets are served. The names are those of wrangler's configuration. */
export interface AssetsConfig {
  readonly html_handling: string;
  readonly not_found_handling: string;
  readonly base_path: string;
  /** Whether code runs before files are looked up: always, never, or if a rule matches. */
  readonly run_worker_first: boolean | readonly string[];
  readonly headers: HeaderRules;
  readonly redirects: RedirectRules;
  /** The version's: some behaviour of the asset server depends on it. */
  readonly compatibility_date: string;
  readonly compatibility_flags: readonly string[];
}

/** The assets of one or more versions, as one value of KV. Immutable. */
export interface StoredAssets {
  /** Prefix of the files' KV keys; the rest of a key is the hash. */
  readonly folder: string;
  readonly config: AssetsConfig;
  /** By path, decoded, with a leading slash. */
  readonly files: Readonly<Record<string, AssetFile>>;
}

/** What is stored beside a file. */
export interface AssetMetadata {
  /** Null for a file that is served without one. */
  readonly contentType: string | null;
}
