/** The data folder: its lock, its token, and the addresses and processes of its running server. */

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** The file server.json, which exists while a server runs on the folder. */
interface ServerFile {
  readonly pid: number;
  /** The runtime's process. It survives a kill -9 of `pid`, and must end before another one opens the folder. */
  readonly runtime_pid: number;
  /** The process that tries uploads out. */
  readonly validator_pid: number;
  /** The traffic processes, with `--processes`. An older Sluice did not write this field. */
  readonly traffic_pids?: readonly number[];
  /** The processes of candidates and of Durable Objects. An older Sluice did not write these fields. */
  readonly canary_pid?: number;
  readonly objects_pid?: number;
  readonly traffic: string;
  readonly control: string;
  readonly account_id: string;
}

/** A mistake that the user can correct: printed without a stack. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** How long the runtime of a server that was killed may finish its requests, in ms. */
const ORPHAN_GRACE_MS = 5_000;

export class DataDir {
  readonly path: string;

  constructor(path: string) {
    this.path = resolve(path);
  }

  /** Where the runtime keeps its databases and files. */
  get storage(): string {
    return join(this.path, "storage");
  }

  /** Whether a server has ever stored anything in it. */
  exists(): boolean {
    return existsSync(this.storage);
  }

  /**
   * Creates the folder, accessible to its owner only, locks it, and ends the processes of a server that was killed.
   *
   * @returns `fresh` if nothing was ever stored in it
   */
  async open(): Promise<{ readonly fresh: boolean }> {
    const fresh = !this.exists();
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o700 });
      // It may exist with other permissions, and it holds secrets.
      chmodSync(this.path, 0o700);
    } catch (error) {
      throw new UsageError(`Cannot use ${this.path} as the data folder: ${(error as Error).message}`);
    }
    this.#lock();
    await this.#endOrphans();
    return { fresh };
  }

  /**
   * Locks the folder for this process, or throws if a running server has locked it. The lock is a file with the owner's
   * process id, created atomically. A lock whose owner has died is moved away first.
   */
  #lock(): void {
    const own = `${this.#lockFile}.${process.pid}`;
    for (;;) {
      writeFileSync(own, String(process.pid), { mode: 0o600 });
      try {
        linkSync(own, this.#lockFile);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      } finally {
        rmSync(own, { force: true });
      }
      const owner = this.#lockOwner();
      if (owner !== undefined && owner !== process.pid && commandOf(owner)?.includes("sluice")) {
        throw new UsageError(
          `Another server, with process id ${owner}, is using ${this.path}. Stop it, or choose another folder with --data-dir.`,
        );
      }
      this.#moveAway(owner, own);
    }
  }

  /** Removes the lock of `owner`, unless another process has replaced it in the meantime. */
  #moveAway(owner: number | undefined, aside: string): void {
    try {
      renameSync(this.#lockFile, aside);
      if (Number(readFileSync(aside, "utf8")) !== owner) linkSync(aside, this.#lockFile);
    } catch {
      // Another process was faster. The next attempt reads its lock.
    } finally {
      rmSync(aside, { force: true });
    }
  }

  #lockOwner(): number | undefined {
    try {
      return Number(readFileSync(this.#lockFile, "utf8"));
    } catch {
      return undefined;
    }
  }

  /** Ends the processes that a killed server left running: two runtimes must not write to one folder. */
  async #endOrphans(): Promise<void> {
    const left = this.readServer();
    if (left === undefined) return;
    this.renewLifetime();
    const alive = (pid: number) => commandOf(pid)?.includes("workerd") === true;
    if (alive(left.validator_pid)) process.kill(left.validator_pid, "SIGKILL");
    await Promise.all(
      [left.runtime_pid, left.canary_pid ?? 0, left.objects_pid ?? 0, ...(left.traffic_pids ?? [])]
        .filter(alive)
        .map(end),
    );
    this.removeServer();
  }

  /** A text that is another one after each end of a process, or of the server, that nobody asked for. */
  lifetime(): string {
    if (!existsSync(this.#lifetimeFile)) this.renewLifetime();
    return readFileSync(this.#lifetimeFile, "utf8");
  }

  renewLifetime(): void {
    writeFileSync(this.#lifetimeFile, randomBytes(8).toString("hex"), { mode: 0o600 });
  }

  /** Unlocks the folder. */
  close(): void {
    this.removeServer();
    rmSync(this.#lockFile, { force: true });
  }

  /** The folder's admin token, generated on the first call. */
  token(): { readonly token: string; readonly isNew: boolean } {
    const kept = this.readToken();
    if (kept !== undefined) return { token: kept, isNew: false };
    const token = randomBytes(24).toString("base64url");
    writeFileSync(this.#tokenFile, `${token}\n`, { mode: 0o600 });
    return { token, isNew: true };
  }

  readToken(): string | undefined {
    return existsSync(this.#tokenFile) ? readFileSync(this.#tokenFile, "utf8").trim() : undefined;
  }

  readServer(): ServerFile | undefined {
    try {
      return JSON.parse(readFileSync(this.#serverFile, "utf8"));
    } catch {
      return undefined;
    }
  }

  writeServer(server: ServerFile): void {
    writeFileSync(`${this.#serverFile}.new`, JSON.stringify(server), { mode: 0o600 });
    renameSync(`${this.#serverFile}.new`, this.#serverFile);
  }

  removeServer(): void {
    rmSync(this.#serverFile, { force: true });
  }

  get #tokenFile(): string {
    return join(this.path, "token");
  }

  get #lifetimeFile(): string {
    return join(this.path, "lifetime");
  }

  get #lockFile(): string {
    return join(this.path, "lock");
  }

  get #serverFile(): string {
    return join(this.path, "server.json");
  }
}

/** The command line of a process; undefined if it does not run. */
function commandOf(pid: number): string | undefined {
  try {
    if (process.platform === "linux")
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ") || undefined;
    return execFileSync("ps", ["-p", String(pid), "-o", "command="], { encoding: "utf8" });
  } catch {
    return undefined;
  }
}

async function end(pid: number): Promise<void> {
  process.kill(pid, "SIGTERM");
  const deadline = Date.now() + ORPHAN_GRACE_MS;
  while (commandOf(pid) !== undefined) {
    if (Date.now() > deadline) process.kill(pid, "SIGKILL");
    await sleep(50);
  }
}
