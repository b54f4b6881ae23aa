/** The workerd processes of a server: which there are, how they reach each other, and their start and end. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { type Bundle, loadBundle } from "../bundle.ts";
import type { ServeConfig } from "../config.ts";
import type { DataDir } from "../data.ts";
import type { Logger } from "../logger.ts";
import { type Common, controlConfig, DISKS, trafficConfig } from "./configs.ts";
import { RunFolder } from "./folder.ts";
import { carryOver, hasLegacy } from "./legacy.ts";
import { type Port, WorkerdProcess } from "./process.ts";
import { Validator } from "./validator.ts";

/** How long requests may take to finish after a signal, in ms. */
const DRAIN_MS = 30_000;

/** Ids of the processes, for server.json. */
export interface Pids {
  readonly runtime_pid: number;
  readonly validator_pid: number;
  readonly traffic_pids: readonly number[];
}

interface Options {
  readonly config: ServeConfig;
  readonly token: string;
  readonly data: DataDir;
  readonly logger: Logger;
  /** Called whenever a process has started. */
  readonly changed: (pids: Pids) => void;
}

export class Processes {
  readonly validator: Validator;
  readonly #options: Options;
  readonly #folder = new RunFolder();
  readonly #control: WorkerdProcess;
  readonly #traffic: readonly WorkerdProcess[];
  readonly #common: Common;
  #validatorPid = 0;

  private constructor(options: Options, bundle: Bundle) {
    this.#options = options;
    const { logger, config } = options;
    this.validator = new Validator(this.#folder, logger, (pid = 0) => {
      this.#validatorPid = pid;
      this.#changed();
    });
    const names =
      config.processes === 1 ? [] : Array.from({ length: config.processes }, (_, i) => `FOLLOWER_${i}`);
    const modules = this.#folder.writeBundle("sluice", bundle);
    const common: Common = {
      modules,
      rpcHost: this.#folder.rpcHost,
      certificates: extraCertificates(),
      own: ownAddresses(),
      reachable: config.allowAddress,
      values: valuesOf(config, bundle.build),
    };
    this.#common = common;
    const sockets = { replica: this.#folder.socket("replica"), remote: this.#folder.socket("remote") };
    const followers = Object.fromEntries(names.map((name) => [name, this.#folder.socket(name)]));
    const control = controlConfig({
      ...common,
      ...sockets,
      values: { ...common.values, ...controlValuesOf(options, names) },
      followers,
      storage: options.data.storage,
      validator: this.validator.socket,
    });
    this.#control = this.#process({
      name: "control",
      config: this.#folder.writeConfig("control", control),
      ports:
        names.length === 0
          ? [portOf("control", config), portOf("traffic", config)]
          : [portOf("control", config)],
      sockets: names.length === 0 ? [] : Object.values(sockets),
    });
    this.#traffic = Object.entries(followers).map(([name, follower]) => {
      const text = trafficConfig({
        ...common,
        ...sockets,
        values: { ...common.values, SLUICE_FOLLOWERS: [] },
        follower,
      });
      return this.#process({
        name: name.toLowerCase().replace("follower_", "traffic-"),
        config: this.#folder.writeConfig(name, text),
        ports: [portOf("traffic", config)],
        sockets: [follower],
      });
    });
  }

  /** Resolves once every process listens. Rejects if one cannot start. */
  static async start(options: Options): Promise<Processes> {
    const { storage } = options.data;
    for (const folder of DISKS) mkdirSync(join(storage, folder), { recursive: true });
    const processes = new Processes(options, await loadBundle("sluice"));
    process.once("exit", () => processes.#end());
    if (hasLegacy(storage)) {
      await carryOver(storage, processes.#common, { folder: processes.#folder, logger: options.logger });
    }
    removeHalfWritten(join(storage, "kv-blobs"));
    await processes.validator.listen();
    // The others read from the control process as soon as they run.
    await processes.#control.start();
    for (const each of processes.#traffic) await each.start();
    return processes;
  }

  /** Lets every process finish its requests, for `DRAIN_MS` at most. Resolves once all have ended. */
  async drain(): Promise<void> {
    const late = setTimeout(() => this.#end(), DRAIN_MS);
    await Promise.all([this.#control, ...this.#traffic].map((each) => each.drain()));
    clearTimeout(late);
    this.#end();
    this.#folder.remove();
  }

  #end(): void {
    this.validator.end();
    for (const each of [this.#control, ...this.#traffic]) each.end();
  }

  #process(spec: ConstructorParameters<typeof WorkerdProcess>[0]): WorkerdProcess {
    const { logger } = this.#options;
    return new WorkerdProcess(spec, logger, {
      spawned: () => this.#changed(),
      ended: (why) => logger.log("error", "process-ended", { process: spec.name, ...why }),
    });
  }

  #changed(): void {
    this.#options.changed({
      runtime_pid: this.#control.pid ?? 0,
      validator_pid: this.#validatorPid,
      traffic_pids: this.#traffic.flatMap(({ pid }) => pid ?? []),
    });
  }
}

/** Deletes the files that a kill ended halfway: the runtime names them `.<name>.<pid>.<n>.tmp`, and forgets them. */
function removeHalfWritten(folder: string): void {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true });
  for (const { name, parentPath } of files) {
    if (/^\..*\.tmp$/.test(name)) rmSync(join(parentPath, name), { force: true });
  }
}

function portOf(socket: "control" | "traffic", config: ServeConfig): Port {
  const port = socket === "control" ? config.controlPort : config.trafficPort;
  return { socket, host: config.host, port, isShared: socket === "traffic" && config.processes > 1 };
}

/** The values of every process. */
function valuesOf(config: ServeConfig, build: string) {
  return {
    SLUICE_DOMAIN: config.domain,
    SLUICE_ADDRESS_HEADER: config.addressHeader,
    SLUICE_CONTROL_HOST: "",
    SLUICE_BUILD: build,
  };
}

/** The values of the process that has the API. @param followers names of the bindings to the processes that serve traffic */
function controlValuesOf({ config, token }: Options, followers: readonly string[]) {
  return {
    SLUICE_TRAFFIC_ORIGIN: `http://${config.domain}:${config.trafficPort}`,
    SLUICE_ACCOUNT_ID: config.accountId,
    SLUICE_TOKEN_SHA256: createHash("sha256").update(token).digest("hex"),
    SLUICE_FOLLOWERS: followers,
    SLUICE_CLOCK_OFFSET_MS: config.clockOffset * 1000,
  };
}

/** This machine's addresses: its ports are Sluice's own, or not meant for versions either. */
function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses.map(({ address, family }) => `${address.split("%")[0]}/${family === "IPv4" ? 32 : 128}`),
  );
}

/** The certificates of the file that Node.js reads too. */
function extraCertificates(): string[] {
  const file = process.env.NODE_EXTRA_CA_CERTS;
  if (file === undefined) return [];
  try {
    return (
      readFileSync(file, "utf8").match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []
    );
  } catch {
    // Node has warned about the unreadable file.
    return [];
  }
}
