/** `AnalyticsEngineDataset` for a version's code: points go to channel.ts. */
import { waitUntil } from "cloudflare:workers";
import type { Rpc } from "../../lib/rpc.ts";
import type { AnalyticsBinding } from "./channel.ts";

/** Cloudflare's limits (https://developers.cloudflare.com/analytics/analytics-engine/limits/), sizes in bytes. */
const MAX = { indexes: 1, blobs: 20, doubles: 20, indexBytes: 96, blobBytes: 16 * 1024 } as const;

interface Point {
  readonly indexes?: readonly (string | ArrayBuffer | null)[];
  readonly blobs?: readonly (string | ArrayBuffer | null)[];
  readonly doubles?: readonly number[];
}

export class AnalyticsEngineDataset {
  readonly #remote: Rpc<AnalyticsBinding>;

  constructor(remote: Rpc<AnalyticsBinding>) {
    this.#remote = remote;
  }

  /** Returns at once: the request does not wait for the write. */
  writeDataPoint(point: Point = {}): void {
    const { indexes = [], blobs = [], doubles = [] } = point ?? {};
    for (const [name, list] of Object.entries({ indexes, blobs, doubles })) {
      const most = MAX[name as "indexes" | "blobs" | "doubles"];
      if (list.length > most) throw new TypeError(`writeDataPoint(): Maximum of ${most} ${name} supported.`);
    }
    const texts = { indexes: indexes.map(toText), blobs: blobs.map(toText) };
    if (sizeOf(texts.indexes) > MAX.indexBytes) {
      throw new TypeError(`writeDataPoint(): Size of indexes[0] exceeds ${MAX.indexBytes} bytes.`);
    }
    if (sizeOf(texts.blobs) > MAX.blobBytes) {
      throw new TypeError(`writeDataPoint(): Cumulative size of blobs exceeds ${MAX.blobBytes} bytes.`);
    }
    waitUntil(this.#remote.write({ ...texts, doubles: doubles.map(Number) }));
  }
}

function toText(value: string | ArrayBuffer | null): string {
  if (value === null) return "";
  return value instanceof ArrayBuffer ? new TextDecoder().decode(value) : String(value);
}

function sizeOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + new TextEncoder().encode(text).byteLength, 0);
}
