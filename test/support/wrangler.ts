/** Runs the project's unmodified wrangler against a server. */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import * as pty from "@lydell/node-pty";
import { ROOT, type Server, waitUntil } from "./server.ts";

export interface Run {
  readonly code: number | null;
  /** Standard output and error together, without colours. */
  readonly output: string;
}

/** What wrangler's own command starts, on the Node.js that runs the tests: one process less for each of hundreds. */
export const WRANGLER = ["--no-warnings", join(ROOT, "node_modules/wrangler/wrangler-dist/cli.js")];

/** What wrangler gets of this process's variables: none that would change what it does. */
const INHERITED = ["PATH", "HOME", "TMPDIR", "LANG", "NODE_COMPILE_CACHE"];

/** A wrangler project in a folder of its own. */
export class Project {
  readonly folder: string;
  readonly #server: Server;

  private constructor(folder: string, server: Server) {
    this.folder = folder;
    this.#server = server;
  }

  /** @param files by path; wrangler.toml or wrangler.json among them */
  static async create(
    server: Server,
    files: Readonly<Record<string, string | Uint8Array>>,
  ): Promise<Project> {
    const project = new Project(await mkdtemp(join(tmpdir(), "sluice-project-")), server);
    for (const [path, content] of Object.entries(files)) await project.write(path, content);
    return project;
  }

  async write(path: string, content: string | Uint8Array): Promise<void> {
    await mkdir(dirname(join(this.folder, path)), { recursive: true });
    await writeFile(join(this.folder, path), content);
  }

  get env(): NodeJS.ProcessEnv {
    const inherited = INHERITED.filter((name) => name in process.env).map((name) => [
      name,
      process.env[name],
    ]);
    return {
      ...Object.fromEntries(inherited),
      ...this.#server.wranglerEnv,
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_HIDE_BANNER: "true",
      NO_COLOR: "1",
      FORCE_COLOR: "0",
      // Its logs and caches must not meet those of another test.
      XDG_CONFIG_HOME: join(this.folder, ".config"),
    };
  }

  /**
   * Runs wrangler without a terminal.
   *
   * @param input what it reads from standard input
   * @param env variables on top of `this.env`
   */
  wrangler(args: readonly string[], input = "", env: NodeJS.ProcessEnv = {}): Promise<Run> {
    const child = spawn(process.execPath, [...WRANGLER, ...args], {
      cwd: this.folder,
      env: { ...this.env, CI: "true", ...env },
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
      child.once("close", (code) => resolve({ code, output: stripVTControlCharacters(output) }));
    });
  }

  /** Runs wrangler in a terminal, where it asks. */
  terminal(args: readonly string[]): Terminal {
    // No variable may say CI: wrangler would answer its own questions. Its cursor in a list is a matter of colour.
    const { NO_COLOR: _, FORCE_COLOR: __, ...env } = this.env;
    return new Terminal(
      pty.spawn(process.execPath, [...WRANGLER, ...args], {
        name: "xterm",
        cols: 160,
        rows: 100,
        cwd: this.folder,
        env: { ...env, TERM: "xterm" },
      }),
    );
  }

  dispose(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}

/** A wrangler that somebody sits in front of. */
export class Terminal {
  readonly #pty: pty.IPty;
  #output = "";
  #typedAt = 0;
  #exitCode: number | undefined;

  constructor(terminal: pty.IPty) {
    this.#pty = terminal;
    terminal.onData((data) => {
      this.#output += data;
    });
    terminal.onExit(({ exitCode }) => {
      this.#exitCode = exitCode;
    });
  }

  /** Everything printed so far, without colours and cursor moves. */
  get output(): string {
    return stripVTControlCharacters(this.#output);
  }

  /** Waits until the text has been printed after the last key, then presses the keys. */
  async answer(question: string, keys: string): Promise<void> {
    await this.#until(() =>
      stripVTControlCharacters(this.#output.slice(this.#typedAt)).includes(question),
    ).catch(() => {
      throw new Error(`wrangler did not print ${JSON.stringify(question)}; it printed:\n${this.output}`);
    });
    this.#typedAt = this.#output.length;
    this.#pty.write(keys);
  }

  /** Waits for the end of the command. */
  async end(): Promise<Run> {
    await waitUntil(() => this.#exitCode !== undefined).catch(() => {
      throw new Error(`wrangler did not end; it printed:\n${this.output}`);
    });
    return { code: this.#exitCode ?? null, output: this.output };
  }

  kill(): void {
    if (this.#exitCode === undefined) this.#pty.kill();
  }

  #until(condition: () => boolean): Promise<void> {
    return waitUntil(() => {
      if (this.#exitCode !== undefined && !condition()) throw new Error("wrangler has ended");
      return condition();
    });
  }
}
