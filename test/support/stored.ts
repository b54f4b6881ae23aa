/** What a server keeps in KV, read and damaged behind its back. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Server } from "./server.ts";

export interface Stored {
  readonly key: string;
  readonly content: Buffer;
}

interface Entry {
  readonly key: string;
  readonly value: Uint8Array | null;
  /** Path of a longer value's file. */
  readonly blob: string | null;
}

/** Every value, in the order of the keys. */
export function storedValues({ dataDir }: Pick<Server, "dataDir">): Stored[] {
  const found = inEachNamespace(dataDir, (db) => db.prepare("SELECT key, value, blob FROM entries").all());
  const values = (found.flat() as unknown as Entry[]).map(({ key, value, blob }) => ({
    key,
    content: blob === null ? Buffer.from(value ?? []) : readFileSync(join(dataDir, "storage/kv-blobs", blob)),
  }));
  return values.sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** What is stored of a version's code: one value, or none where it was deleted. */
export function storedCode(server: Pick<Server, "dataDir">, version: string): Stored[] {
  return storedValues(server).filter(({ key }) => key === `version/${version}`);
}

/** Replaces a value, or deletes it. The key must exist. */
export function damage({ dataDir }: Pick<Server, "dataDir">, key: string, content?: string | Buffer): void {
  const changed = inEachNamespace(dataDir, (db) =>
    content === undefined
      ? db.prepare("DELETE FROM entries WHERE key = ?").run(key).changes
      : db.prepare("UPDATE entries SET value = ?, blob = NULL WHERE key = ?").run(Buffer.from(content), key)
          .changes,
  );
  if (changed.every((count) => Number(count) === 0)) throw new Error(`nothing is stored at ${key}`);
}

/** The same for a version's code. */
export function damageCode(
  server: Pick<Server, "dataDir">,
  version: string,
  content?: string | Buffer,
): void {
  damage(server, `version/${version}`, content);
}

function inEachNamespace<T>(dataDir: string, use: (db: DatabaseSync) => T): T[] {
  const folder = join(dataDir, "storage/do/sluice-KVNamespace");
  const files = readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  return files.map((name) => {
    // A server that writes at this moment holds the lock.
    const db = new DatabaseSync(join(folder, name), { timeout: 5_000 });
    try {
      return use(db);
    } finally {
      db.close();
    }
  });
}
