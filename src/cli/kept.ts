/** What was made of files is kept until one of them changes: a start need not bundle what the one before did. */
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/** Something made of files, by their paths. Must be JSON. */
export interface Made<T> {
  readonly value: T;
  readonly inputs: readonly string[];
}

interface Kept<T> {
  readonly value: T;
  /** Paths with time of the last change in ms, and size in bytes. */
  readonly inputs: readonly (readonly [path: string, changed: number, size: number])[];
}

/** @param file where it is kept; where that cannot be written it is made each time */
export async function keep<T>(file: string, make: () => Promise<Made<T>>): Promise<T> {
  const kept = await read<T>(file);
  if (kept !== undefined && (await isCurrent(kept))) return kept.value;
  const { value, inputs } = await make();
  const stored: Kept<T> = { value, inputs: await Promise.all(inputs.map(look)) };
  await write(file, JSON.stringify(stored));
  return value;
}

async function look(path: string): Promise<readonly [string, number, number]> {
  const { mtimeMs, size } = await stat(path);
  return [path, mtimeMs, size];
}

async function isCurrent({ inputs }: Kept<unknown>): Promise<boolean> {
  try {
    const now = await Promise.all(inputs.map(([path]) => look(path)));
    return JSON.stringify(now) === JSON.stringify(inputs);
  } catch {
    // One of them is gone.
    return false;
  }
}

async function read<T>(file: string): Promise<Kept<T> | undefined> {
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
