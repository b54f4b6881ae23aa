import type { HeaderRules, RedirectRules } from "./rules.ts";

/** A file of a version's assets. */
export type AssetFile = readonly [
  /** 32 hexadecimal digits, from wrangler; also its ETag. */
  hash: string,
  /** Bytes. */
  size: number,
];

/** How a version's assets are served; the names are those of wrangler's configuration. */
export interface AssetsConfig {
  readonly html_handling: string;
  readonly not_found_handling: string;
  readonly base_path: string;
  /** Whether the Worker is asked before the files: always, never, or where a rule matches. */
  readonly run_worker_first: boolean | readonly string[];
  readonly headers: HeaderRules;
  readonly redirects: RedirectRules;
  /** Of the version: some of the server's rules have a date. */
  readonly compatibility_date: string;
  readonly compatibility_flags: readonly string[];
}

/** The assets of one or more versions, as one value of KV. Immutable. */
export interface StoredAssets {
  /** Begins the KV keys of the files: the rest is the hash. */
  readonly folder: string;
  readonly config: AssetsConfig;
  /** By path, decoded, with a leading slash. */
  readonly files: Readonly<Record<string, AssetFile>>;
}

/** What is stored beside a file. */
export interface AssetMetadata {
  /** Null to be served without one. */
  readonly contentType: string | null;
}
