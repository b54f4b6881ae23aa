/** Starts nginx in front of two versions, on a free port. It splits by the key, as Sluice does. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./sluice.ts";

/** Debian installs nginx in a folder that only root's PATH has. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
const START_MS = 10_000;

/** The version of nginx; undefined if it is not installed. */
export function nginxVersion(): string | undefined {
  const { status, stderr } = spawnSync("nginx", ["-v"], { env, encoding: "utf8" });
  return status === 0 ? stderr.replace("nginx version:", "").trim() : undefined;
}

export class Nginx {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #folder: string;
  readonly #end = () => {
    this.#child.kill("SIGTERM");
    rmSync(this.#folder, { recursive: true, force: true });
  };

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.url = `http://127.0.0.1:${port}/`;
    this.#child = child;
    this.#exited = once(child, "exit");
    this.#folder = folder;
    // Ends nginx even if the benchmark is interrupted.
    process.once("exit", this.#end);
  }

  /** @param versions the hosts and ports of the two versions */
  static async start(workers: number, versions: readonly [string, string]): Promise<Nginx> {
    const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
    const port = await freePort();
    writeFileSync(join(folder, "nginx.conf"), config(workers, port, versions));
    const args = ["-p", folder, "-c", "nginx.conf", "-e", "error.log"];
    const nginx = new Nginx(
      port,
      spawn("nginx", args, { env, stdio: ["ignore", "ignore", "inherit"] }),
      folder,
    );
    try {
      await nginx.#answers();
    } catch (error) {
      await nginx.stop();
      throw error;
    }
    return nginx;
  }

  /** Process ids of the master and its workers. */
  get pids(): number[] {
    const master = this.#child.pid as number;
    const workers = readFileSync(`/proc/${master}/task/${master}/children`, "utf8").trim().split(" ");
    return [master, ...workers.map(Number)];
  }

  async stop(): Promise<void> {
    process.off("exit", this.#end);
    this.#child.kill("SIGTERM");
    await this.#exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #answers(): Promise<void> {
    const deadline = Date.now() + START_MS;
    for (;;) {
      try {
        if ((await fetch(this.url)).ok) return;
      } catch {
        // nginx does not listen yet.
      }
      if (this.#child.exitCode !== null || Date.now() > deadline) {
        throw new Error("nginx did not start");
      }
      await sleep(50);
    }
  }
}

/**
 * The fastest configuration: no access log, connections that stay open on both sides (nginx closes one after 1,000
 * requests by default), and a listener per worker, so that all workers get connections. Paths are relative to its folder.
 */
function config(workers: number, port: number, [a, b]: readonly [string, string]): string {
  return `daemon off;
worker_processes ${workers};
pid nginx.pid;
error_log error.log;
events {}
http {
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream a { server ${a}; keepalive 64; keepalive_requests 100000000; }
  upstream b { server ${b}; keepalive 64; keepalive_requests 100000000; }
  split_clients "$http_cloudflare_workers_version_key" $upstream { 50% a; * b; }
  server {
    listen 127.0.0.1:${port} reuseport;
    location / {
      proxy_pass http://$upstream;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`;
}
