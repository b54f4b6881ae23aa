/** Runs the project's unmodified wrangler against a server. */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT, type Server } from "./server.ts";

export interface Run {
  readonly code: number | null;
  /** Standard output and error together, without colours. */
  readonly output: string;
}

const WRANGLER = join(ROOT, "node_modules/wrangler/bin/wrangler.js");

/** A wrangler project in a folder of its own. */
export class Project {
  readonly folder: string;
  readonly #server: Server;

  private constructor(folder: string, server: Server) {
    this.folder = folder;
    this.#server = server;
  }

  /** @param files by path; wrangler.toml among them */
  static async create(server: Server, files: Readonly<Record<string, string>>): Promise<Project> {
    const project = new Project(await mkdtemp(join(tmpdir(), "sluice-project-")), server);
    for (const [path, content] of Object.entries(files)) await project.write(path, content);
    return project;
  }

  async write(path: string, content: string): Promise<void> {
    await mkdir(dirname(join(this.folder, path)), { recursive: true });
    await writeFile(join(this.folder, path), content);
  }

  get env(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      ...this.#server.wranglerEnv,
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_HIDE_BANNER: "true",
      NO_COLOR: "1",
      FORCE_COLOR: "0",
      // Its logs and caches must not meet those of another test.
      XDG_CONFIG_HOME: join(this.folder, ".config"),
    };
  }

  /** Runs wrangler without a terminal. @param input what it reads from standard input */
  wrangler(args: readonly string[], input = ""): Promise<Run> {
    const child = spawn(process.execPath, [WRANGLER, ...args], {
      cwd: this.folder,
      env: { ...this.env, CI: "true" },
      stdio: "pipe",
    });
    child.stdin.end(input);
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk) => {
      output += chunk;
    });
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve({ code, output }));
    });
  }

  dispose(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}
