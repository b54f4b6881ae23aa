/**
 * The folder of a running server: its configurations, its bundles and the Unix sockets between its processes. Only the
 * server's user can enter it, so nobody else can talk to the processes or pose as one.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bundle } from "../bundle.ts";

export class RunFolder {
  /** Short: the path of a Unix socket may have about 100 characters. */
  readonly path = mkdtempSync(join(tmpdir(), "sluice-"));
  /** Host name that marks a connection between two processes as RPC. No request of a client can name it. */
  readonly rpcHost = randomBytes(16).toString("hex");
  /** Marks what Sluice's own Worker logs. No version can guess it. */
  readonly logKey = randomBytes(16).toString("hex");

  constructor() {
    process.once("exit", () => this.remove());
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Path of the Unix socket with this name. */
  socket(name: string): string {
    return join(this.path, `${name}.sock`);
  }

  /** Writes the files of a bundle. @returns their names below the folder, by module */
  writeBundle(name: string, { modules }: Bundle): { readonly module: string; readonly file: string }[] {
    return modules.map(({ path, contents }) => {
      const file = `${name}-${path}`;
      writeFileSync(join(this.path, file), contents, { mode: 0o600 });
      return { module: path, file };
    });
  }

  /** @returns the path of the configuration */
  writeConfig(name: string, text: string): string {
    const path = join(this.path, `${name}.capnp`);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }
}
