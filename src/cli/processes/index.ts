/** The workerd processes of a server: which there are, how they reach each other, and their start and end. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lane } from "../../versions/placement.ts";
import type { Target } from "../api.ts";
import { type Bundle, loadBundle } from "../bundle.ts";
import type { ServeConfig } from "../config.ts";
import type { DataDir } from "../data.ts";
import type { Logger } from "../logger.ts";
import type { Suspect } from "./blame.ts";
import {
  type Common,
  controlConfig,
  DISKS,
  LIFETIME,
  type Peer,
  peerConfig,
  type Setup,
  socketsOf,
  TOLD,
} from "./configs.ts";
import { RunFolder } from "./folder.ts";
import { Health } from "./health.ts";
import { carryOver, hasLegacy } from "./legacy.ts";
import { type Port, WorkerdProcess } from "./process.ts";
import { Validator } from "./validator.ts";
import { tell, Watchdog } from "./watchdog.ts";

/** How long requests may take to finish after a signal, in ms. */
const DRAIN_MS = 30_000;

/** Pause between two looks at whether a process has an event under way, in ms. */
const IDLE_MS = 50;

/** Ids of the processes, for server.json. */
export interface Pids {
  readonly runtime_pid: number;
  readonly validator_pid: number;
  readonly traffic_pids: readonly number[];
  /** 0 where one process does everything. */
  readonly canary_pid: number;
  readonly objects_pid: number;
}

const NO_PIDS: Pids = {
  runtime_pid: 0,
  validator_pid: 0,
  traffic_pids: [],
  canary_pid: 0,
  objects_pid: 0,
};

interface Options {
  readonly config: ServeConfig;
  /** The API, with the admin token. */
  readonly target: Target;
  readonly data: DataDir;
  readonly logger: Logger;
  /** Called whenever a process has started. */
  readonly changed: (pids: Pids) => void;
  /** Called with a version that is to blame for the end of a process. */
  readonly harmful: (culprit: Suspect) => void;
}

/** A process and what it is for. */
interface Member {
  readonly lane: Lane;
  readonly process: WorkerdProcess;
}

export class Processes {
  readonly validator: Validator;
  readonly #options: Options;
  readonly #folder = new RunFolder();
  readonly #common: Common;
  /** In the order in which they start. */
  readonly #members: readonly Member[];
  #watchdog: Watchdog | undefined;
  #health: Health | undefined;
  #validatorPid = 0;
  #hasEnded = false;

  private constructor(options: Options, bundle: Bundle) {
    this.#options = options;
    const { logger, config, data } = options;
    this.validator = new Validator(this.#folder, logger, (pid = 0) => {
      this.#validatorPid = pid;
      this.#changed();
    });
    this.#common = {
      modules: this.#folder.writeBundle("sluice", bundle),
      rpcHost: this.#folder.rpcHost,
      certificates: extraCertificates(),
      own: ownAddresses(),
      reachable: config.allowAddress,
      values: valuesOf(config, bundle.build, this.#folder.logKey),
    };
    const peers = peersOf(config);
    const setup: Setup = {
      ...this.#common,
      storage: data.storage,
      socket: (name) => this.#folder.socket(name),
      peers,
    };
    const lanes = peers.map((peer) => {
      const values = { ...setup.values, SLUICE_LANE: peer.lane, SLUICE_FOLLOWERS: [] };
      return this.#member(peer.lane, peer.name, peerConfig({ ...setup, values }, peer));
    });
    const values = { ...setup.values, ...controlValuesOf(options, peers) };
    const control = this.#member("control", "control", controlConfig({ ...setup, values }));
    // Traffic comes when the others are there. What they need of `control`, they ask for again.
    const isFront = ({ lane }: Member) => lane === "traffic";
    this.#members = [...lanes.filter((each) => !isFront(each)), control, ...lanes.filter(isFront)];
  }

  /** Resolves once every process listens. Rejects if one cannot start. */
  static async start(options: Options): Promise<Processes> {
    const { storage } = options.data;
    for (const folder of DISKS) mkdirSync(join(storage, folder), { recursive: true });
    const processes = new Processes(options, await loadBundle("sluice"));
    process.once("exit", () => processes.#end());
    if (hasLegacy(storage)) {
      await carryOver(storage, processes.#common, {
        folder: processes.#folder,
        logger: options.logger,
        spawned: (pid = 0) => options.changed({ ...NO_PIDS, runtime_pid: pid }),
      });
    }
    removeHalfWritten(join(storage, "kv-blobs"));
    await processes.validator.listen();
    for (const { process } of processes.#members) await process.start();
    processes.#watch();
    return processes;
  }

  /** Lets every process finish its requests, for `DRAIN_MS` at most. Resolves once all have ended. */
  async drain(): Promise<void> {
    this.#watchdog?.drain();
    this.#health?.stop();
    const late = setTimeout(() => this.#end(), DRAIN_MS);
    // What requests need is there until they have finished.
    await this.#drainLane("traffic");
    await this.#drainLane("canary");
    await this.#tellToStop("control");
    // These two keep connections to each other open for ever: each would wait for the other.
    await this.#untilIdle("objects");
    for (const { lane, process } of this.#members) if (lane === "objects") process.end();
    await this.#drainLane("control");
    clearTimeout(late);
    this.#end();
    this.#folder.remove();
  }

  async #drainLane(wanted: Lane): Promise<void> {
    const ending = this.#members.filter(({ lane }) => lane === wanted);
    await Promise.all(ending.map(({ process }) => process.drain()));
  }

  /** @returns how many events are under way in the process; undefined if it does not answer */
  async #tellToStop(name: "control" | "objects"): Promise<number | undefined> {
    const reply = await tell(this.#folder.socket(`${name}-follower`), { type: "stop" });
    return reply?.events;
  }

  /** Waits until a process has no event under way. One may be on its way to it, so it looks twice. */
  async #untilIdle(lane: "objects"): Promise<void> {
    const isThere = this.#members.some((each) => each.lane === lane);
    for (let idle = 0; isThere && idle < 2 && !this.#hasEnded; ) {
      idle = (await this.#tellToStop(lane)) === 0 ? idle + 1 : 0;
      await sleep(IDLE_MS);
    }
  }

  #watch(): void {
    const watched = this.#members.map(({ lane, process }) => ({
      lane,
      process,
      socket: this.#folder.socket(`${process.name}-follower`),
    }));
    const { config, data, logger, harmful, target } = this.#options;
    const health = new Health({
      target,
      processes: this.#members.map(({ process }) => process),
      memoryMiB: config.memoryLimit,
      folder: data.storage,
    });
    this.#health = health;
    this.#watchdog = new Watchdog(watched, {
      hangMs: config.hangTimeout * 1000,
      memoryMiB: config.memoryLimit,
      logger,
      harmful,
      incident: (found) => {
        if (found.process === "objects" || found.process === "control") data.renewLifetime();
        health.incident(found);
      },
    });
  }

  #stopWatching(): void {
    this.#watchdog?.stop();
    this.#health?.stop();
  }

  #end(): void {
    this.#hasEnded = true;
    this.#stopWatching();
    this.validator.end();
    for (const { process } of this.#members) process.end();
  }

  #member(lane: Lane, name: string, text: string): Member {
    const { logger, config } = this.#options;
    const isAlone = config.singleProcess;
    const ports = lane === "control" ? [portOf("control", config)] : [];
    if (lane === "traffic" || isAlone) ports.push(portOf("traffic", config));
    const spec = {
      name,
      config: this.#folder.writeConfig(name, text),
      ports,
      sockets: socketsOf(lane, name, isAlone).map((socket) => this.#folder.socket(socket)),
      environment: () => {
        const told = this.#watchdog?.messageTo(lane, name);
        const lifetime = { [LIFETIME]: this.#options.data.lifetime() };
        return told === undefined ? lifetime : { ...lifetime, [TOLD]: JSON.stringify(told) };
      },
      logKey: this.#folder.logKey,
    };
    const process = new WorkerdProcess(spec, logger, {
      spawned: () => this.#changed(),
      ended: (why) => {
        if (this.#watchdog === undefined) logger.log("error", "process-ended", { process: name, ...why });
        else this.#watchdog.ended(name, why);
      },
      listening: () => {
        this.#watchdog?.listening(name);
        // The process with the API knows nothing yet, and it has just learnt of any other that is up again.
        void this.#health?.sample();
      },
      told: (event) => this.#watchdog?.told(name, event) ?? false,
    });
    return { lane, process };
  }

  #changed(): void {
    const pidsOf = (wanted: Lane) =>
      this.#members.filter(({ lane }) => lane === wanted).flatMap(({ process }) => process.pid ?? []);
    this.#options.changed({
      runtime_pid: pidsOf("control")[0] ?? 0,
      validator_pid: this.#validatorPid,
      traffic_pids: pidsOf("traffic"),
      canary_pid: pidsOf("canary")[0] ?? 0,
      objects_pid: pidsOf("objects")[0] ?? 0,
    });
  }
}

/** The processes beside `control`. */
function peersOf({ singleProcess, processes }: ServeConfig): Peer[] {
  if (singleProcess) return [];
  const traffic = Array.from(
    { length: processes },
    (_, i): Peer => ({ name: `traffic-${i}`, lane: "traffic" }),
  );
  return [{ name: "objects", lane: "objects" }, { name: "canary", lane: "canary" }, ...traffic];
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
function valuesOf(config: ServeConfig, build: string, logKey: string) {
  return {
    SLUICE_LOG_KEY: logKey,
    SLUICE_DOMAIN: config.domain,
    SLUICE_ADDRESS_HEADER: config.addressHeader,
    SLUICE_CONTROL_HOST: "",
    SLUICE_BUILD: build,
    ...(config.safeMode ? { SLUICE_SAFE_MODE: "on" } : {}),
  };
}

/** The values of the process that has the API. */
function controlValuesOf({ config, target }: Options, followers: readonly Peer[]) {
  return {
    ...(followers.length === 0 ? {} : { SLUICE_LANE: "control" }),
    SLUICE_TRAFFIC_ORIGIN: `http://${config.domain}:${config.trafficPort}`,
    SLUICE_ACCOUNT_ID: config.accountId,
    SLUICE_TOKEN_SHA256: createHash("sha256").update(target.token).digest("hex"),
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
