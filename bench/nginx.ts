/** nginx in front of two versions, splitting by the key as Sluice does: started with a folder and a port of its own. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./sluice.ts";

/** Debian's nginx is where only root's PATH leads. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
const START_MS = 10_000;

/** The version of nginx, undefined where there is none. */
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
    // A benchmark that is interrupted leaves no nginx behind.
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

  /** The master and its workers. */
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
        // It does not listen yet.
      }
      if (this.#child.exitCode !== null || Date.now() > deadline) {
        throw new Error("nginx did not start");
      }
      await sleep(50);
    }
  }
}

/**
 * Paths are in the folder of the config. As fast as nginx gets: no log of requests, connections that stay open on both
 * sides (a limit of a thousand requests each is the default), and a listener per worker, so that all have work.
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
