/**
 * Carries over what release 0.1 kept in KV and R2, before anything is served. The old folders are put aside afterwards;
 * if anything cannot be copied, the server does not start and they stay as they are.
 */
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../data.ts";
import type { Logger } from "../logger.ts";
import { type Common, legacyConfig } from "./configs.ts";
import type { RunFolder } from "./folder.ts";
import { post } from "./post.ts";
import { WorkerdProcess } from "./process.ts";

/** Where the old folders are put, below the storage folder. Nothing reads them any more. */
const ASIDE = "before-0.2";
const OLD = ["kv", "r2", "cache"] as const;

/** Whether a release before 0.2 has written to the storage folder. */
export function hasLegacy(storage: string): boolean {
  return (
    existsSync(join(storage, "kv/miniflare-KVNamespaceObject")) ||
    existsSync(join(storage, "r2/miniflare-R2BucketObject"))
  );
}

interface CarryOverOptions {
  readonly folder: RunFolder;
  readonly logger: Logger;
  /** Called with the id of the process that copies: after a kill -9, the next start must end it before it copies too. */
  readonly spawned: (pid: number | undefined) => void;
}

/** Throws a `UsageError` that says what could not be copied. */
export async function carryOver(
  storage: string,
  common: Common,
  { folder, logger, spawned }: CarryOverOptions,
): Promise<void> {
  for (const name of OLD) mkdirSync(join(storage, name), { recursive: true });
  const socket = folder.socket("legacy");
  const config = folder.writeConfig("legacy", legacyConfig(common, storage, socket));
  // No version runs in it: all that it prints is Sluice's own.
  const spec = { name: "legacy", config, ports: [], sockets: [socket], logKey: "" };
  const copying = new WorkerdProcess(spec, logger, {
    spawned: () => spawned(copying.pid),
    ended: () => copying.end(),
  });
  try {
    await copying.start();
    const { status, reply } = await post<{ readonly error?: string }>(socket, "legacy", "");
    if (status !== 200) throw new Error(reply.error);
    logger.log("info", "data-carried-over", { ...reply, old: join(storage, ASIDE) });
  } catch (error) {
    throw new UsageError(
      `The data that an earlier release left in ${storage} could not be carried over, and is unchanged: ${(error as Error).message}`,
    );
  } finally {
    await copying.drain();
  }
  mkdirSync(join(storage, ASIDE), { recursive: true });
  for (const name of OLD) renameSync(join(storage, name), join(storage, ASIDE, name));
}
