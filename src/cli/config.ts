/** The settings of `sluice serve`. A flag wins over its variable, and the variable over the default. */
import { isIP } from "node:net";
import { totalmem } from "node:os";
import { type Command, InvalidArgumentError, Option } from "commander";
import { MIB } from "../lib/bytes.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** Settings of `sluice serve`. */
export interface ServeConfig {
  readonly host: string;
  readonly trafficPort: number;
  readonly controlPort: number;
  readonly dataDir: string;
  readonly apiToken?: string;
  readonly accountId: string;
  readonly domain: string;
  readonly addressHeader: string;
  readonly log: (typeof LOG_LEVELS)[number];
  readonly demo: boolean;
  /** Processes that serve traffic, beside those for the API, for candidates and for Durable Objects. */
  readonly processes: number;
  /** Whether one process does everything. */
  readonly singleProcess: boolean;
  /** Whether only stable versions run, and no alarms, queues or crons. */
  readonly safeMode: boolean;
  /** Seconds of silence after which a process is restarted. */
  readonly hangTimeout: number;
  /** Resident memory in MiB above which a process is restarted. */
  readonly memoryLimit: number;
  /** Blocks of this machine's or link-local addresses that versions may reach, in CIDR notation. */
  readonly allowAddress: readonly string[];
  /** Seconds added to the system's clock for crons and rollouts. */
  readonly clockOffset: number;
}

const MAX_PROCESSES = 64;

/** Adds a flag for each setting, with its environment variable. */
export function addServeOptions(command: Command): Command {
  const options = [dataDirOption(), ...listenerOptions(), ...accountOptions(), ...runtimeOptions()];
  for (const option of options) command.addOption(option);
  return command.option("--no-demo", "Do not deploy the example Worker on the first start");
}

/** Where both sides listen, and under which hostnames. */
function listenerOptions(): Option[] {
  return [
    new Option("--host <address>", "Address that both ports listen on")
      .env("SLUICE_HOST")
      .default("127.0.0.1"),
    portOption("--traffic-port <port>", "Port for traffic", "SLUICE_TRAFFIC_PORT", 8787),
    portOption("--control-port <port>", "Port for the API and the dashboard", "SLUICE_CONTROL_PORT", 8788),
    new Option("--domain <name>", "Domain of the Workers: each is served at <worker>.<domain>")
      .env("SLUICE_DOMAIN")
      .default("localhost")
      .argParser((value) => {
        if (!/^[a-z0-9-]+(\.[a-z0-9-]+)*$/i.test(value)) {
          throw new InvalidArgumentError("Use a hostname without a port.");
        }
        return value.toLowerCase();
      }),
    new Option(
      "--address-header <name>",
      "Header in which your proxy sends the client's address. The address is the key of requests without one",
    )
      .env("SLUICE_ADDRESS_HEADER")
      .default("", "none")
      .argParser((value) => {
        if (!/^[A-Za-z0-9-]*$/.test(value)) throw new InvalidArgumentError("Use the name of a header.");
        return value;
      }),
  ];
}

/** Who may use the API, and the account that its paths name. */
function accountOptions(): Option[] {
  return [
    new Option(
      "--api-token <token>",
      "Admin token (default: generated on the first start and kept in the data folder)",
    )
      .env("SLUICE_API_TOKEN")
      .argParser((value) => {
        if (!/^\S{8,}$/.test(value))
          throw new InvalidArgumentError("Use at least 8 characters and no spaces.");
        return value;
      }),
    new Option("--account-id <id>", "Account ID in API paths")
      .env("SLUICE_ACCOUNT_ID")
      .default("sluice")
      .argParser((value) => {
        if (!/^[A-Za-z0-9_-]+$/.test(value)) throw new InvalidArgumentError("Use letters, digits, - and _.");
        return value;
      }),
  ];
}

/** How the server runs. */
function runtimeOptions(): Option[] {
  return [
    new Option("--log <level>", "Lowest level to log").env("SLUICE_LOG").choices(LOG_LEVELS).default("info"),
    new Option(
      "--processes <n>",
      "Number of processes that serve traffic. More than one per core does not help",
    )
      .env("SLUICE_PROCESSES")
      .default(1)
      .argParser((value) => {
        const processes = Number(value);
        if (!Number.isInteger(processes) || processes < 1 || processes > MAX_PROCESSES) {
          throw new InvalidArgumentError(`Use a number from 1 to ${MAX_PROCESSES}.`);
        }
        return processes;
      }),
    new Option(
      "--allow-address <block...>",
      "Addresses of this machine that versions may reach, e.g. 127.0.0.1/32. By default, none",
    )
      .env("SLUICE_ALLOW_ADDRESS")
      .default([], "none")
      .argParser((value, before: readonly string[]) => [...before, ...value.split(/[\s,]+/).map(toBlock)]),
    new Option(
      "--single-process",
      "Run everything in one process. It needs less memory, but a version that hangs stops every Worker and the API",
    )
      .env("SLUICE_SINGLE_PROCESS")
      .default(false),
    new Option(
      "--safe-mode",
      "Run stable versions only, and no alarms, queues or crons: for a server that its versions keep from working",
    )
      .env("SLUICE_SAFE_MODE")
      .default(false),
    new Option("--hang-timeout <seconds>", "Silence after which a process that hangs is restarted")
      .env("SLUICE_HANG_TIMEOUT")
      .default(2)
      .argParser((value) => {
        const seconds = Number(value);
        if (!(seconds >= 1 && seconds <= 60)) throw new InvalidArgumentError("Use 1 to 60 seconds.");
        return seconds;
      }),
    new Option("--memory-limit <MiB>", "Resident memory above which a process is restarted (Linux)")
      .env("SLUICE_MEMORY_LIMIT")
      .default(defaultMemoryLimit(), "half of the machine's memory, at most 2048")
      .argParser((value) => {
        const mebibytes = Number(value);
        if (!(mebibytes >= 256)) throw new InvalidArgumentError("Use 256 or more.");
        return mebibytes;
      }),
    new Option("--clock-offset <seconds>", "Seconds to add to the clock of crons and rollouts, to test them")
      .env("SLUICE_CLOCK_OFFSET")
      .default(0)
      .argParser((value) => {
        const seconds = Number(value);
        if (!Number.isFinite(seconds)) throw new InvalidArgumentError("Use a number of seconds.");
        return seconds;
      }),
  ];
}

function defaultMemoryLimit(): number {
  return Math.max(256, Math.min(2048, Math.floor(totalmem() / MIB / 2)));
}

/** An address or a CIDR block, as a CIDR block. */
function toBlock(text: string): string {
  const [address = "", bits, ...rest] = text.split("/");
  const version = isIP(address);
  const longest = version === 4 ? 32 : 128;
  const isLength = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= longest);
  if (version === 0 || !isLength || rest.length > 0) {
    throw new InvalidArgumentError("Use an IP address or a block such as 127.0.0.1/32.");
  }
  return `${address}/${bits ?? longest}`;
}

export function dataDirOption(): Option {
  return new Option("--data-dir <folder>", "Folder with the server's state")
    .env("SLUICE_DATA_DIR")
    .default(".sluice");
}

function portOption(flags: string, description: string, variable: string, fallback: number): Option {
  return new Option(flags, description)
    .env(variable)
    .default(fallback)
    .argParser((value) => {
      const port = Number(value);
      if (!Number.isInteger(port) || port < 1 || port > 65535) {
        throw new InvalidArgumentError("Use a port from 1 to 65535.");
      }
      return port;
    });
}

/** The origin at which this machine reaches a listener. */
export function originOf(host: string, port: number): string {
  const reachable = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`;
}
