/** Keeps what was made of files until one of them changes, so that a start need not bundle again. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Something made of files. Must be JSON. */
export interface Made<T> {
  readonly value: T;
  /** Digest of what was read of each file, by its path below the root. */
  readonly inputs: Readonly<Record<string, string>>;
}

/**
 * Compares contents below `root`, not times: a copied checkout has the copy's times or the original's, and neither
 * says whether a file is the one that was bundled.
 *
 * @param file where it is kept; where that cannot be written it is made each time
 * @param root folder that the inputs' paths start from
 */
export async function keep<T>(file: string, root: string, make: () => Promise<Made<T>>): Promise<T> {
  const kept = await read<T>(file);
  if (kept !== undefined && isCurrent(kept, root)) return kept.value;
  const made = await make();
  await write(file, JSON.stringify(made));
  return made.value;
}

export function digest(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("base64url");
}

/** One file after the other: hundreds of reads at once take five times as long as that. */
function isCurrent({ inputs }: Made<unknown>, root: string): boolean {
  try {
    return Object.entries(inputs).every(
      ([path, digested]) => digest(readFileSync(join(root, path))) === digested,
    );
  } catch {
    // A file is gone, or this is no cache of ours.
    return false;
  }
}

async function read<T>(file: string): Promise<Made<T> | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch {
    return undefined;
  }
}

/** In one step, since others may read or write it at the same time. */
async function write(file: string, text: string): Promise<void> {
  const own = `${file}.${process.pid}`;
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(own, text);
    await rename(own, file);
  } catch {
    await rm(own, { force: true }).catch(() => {});
  }
}
