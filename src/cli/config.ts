/** Where the server is and where its data are: flags, then variables, then defaults. */
import { type Command, InvalidArgumentError, Option } from "commander";

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
  /** Processes that serve traffic; one means that the control side's process does. */
  readonly processes: number;
  /** Seconds to add to the system's time for crons and rollouts. */
  readonly clockOffset: number;
}

const MAX_PROCESSES = 64;

/** The settings of `sluice serve`: each a flag, with a variable that stands for it. */
export function addServeOptions(command: Command): Command {
  const options = [dataDirOption(), ...listenerOptions(), ...accountOptions(), ...runtimeOptions()];
  for (const option of options) command.addOption(option);
  return command.option("--no-demo", "do not deploy the example Worker on the first start");
}

/** Where both sides listen, and under which hostnames. */
function listenerOptions(): Option[] {
  return [
    new Option("--host <address>", "address of both listeners").env("SLUICE_HOST").default("127.0.0.1"),
    portOption("--traffic-port <port>", "listener for end users", "SLUICE_TRAFFIC_PORT", 8787),
    portOption("--control-port <port>", "listener for operators", "SLUICE_CONTROL_PORT", 8788),
    new Option("--domain <name>", "Workers are served at <worker>.<domain>")
      .env("SLUICE_DOMAIN")
      .default("localhost")
      .argParser((value) => {
        if (!/^[a-z0-9-]+(\.[a-z0-9-]+)*$/i.test(value)) {
          throw new InvalidArgumentError("use a hostname without a port");
        }
        return value.toLowerCase();
      }),
    new Option(
      "--address-header <name>",
      "header with the client's address, set by your own proxy; it decides for requests without a key",
    )
      .env("SLUICE_ADDRESS_HEADER")
      .default("")
      .argParser((value) => {
        if (!/^[A-Za-z0-9-]*$/.test(value)) throw new InvalidArgumentError("use the name of a header");
        return value;
      }),
  ];
}

/** Who may use the API, and the account that its paths name. */
function accountOptions(): Option[] {
  return [
    new Option(
      "--api-token <token>",
      "the admin token (default: generated on first start, kept in the data folder)",
    )
      .env("SLUICE_API_TOKEN")
      .argParser((value) => {
        if (!/^\S{8,}$/.test(value))
          throw new InvalidArgumentError("use at least 8 characters and no spaces");
        return value;
      }),
    new Option("--account-id <id>", "the account in API paths")
      .env("SLUICE_ACCOUNT_ID")
      .default("sluice")
      .argParser((value) => {
        if (!/^[A-Za-z0-9_-]+$/.test(value)) throw new InvalidArgumentError("use letters, digits, - and _");
        return value;
      }),
  ];
}

/** How the server runs. */
function runtimeOptions(): Option[] {
  return [
    new Option("--log <level>", "lowest level to log").env("SLUICE_LOG").choices(LOG_LEVELS).default("info"),
    new Option("--processes <n>", "processes that serve traffic; more than one per core does not help")
      .env("SLUICE_PROCESSES")
      .default(1)
      .argParser((value) => {
        const processes = Number(value);
        if (!Number.isInteger(processes) || processes < 1 || processes > MAX_PROCESSES) {
          throw new InvalidArgumentError(`use a number from 1 to ${MAX_PROCESSES}`);
        }
        return processes;
      }),
    new Option("--clock-offset <seconds>", "time to add to the clock of crons and rollouts, to try them out")
      .env("SLUICE_CLOCK_OFFSET")
      .default(0)
      .argParser((value) => {
        const seconds = Number(value);
        if (!Number.isFinite(seconds)) throw new InvalidArgumentError("use a number of seconds");
        return seconds;
      }),
  ];
}

export function dataDirOption(): Option {
  return new Option("--data-dir <folder>", "everything that lasts").env("SLUICE_DATA_DIR").default(".sluice");
}

function portOption(flags: string, description: string, variable: string, fallback: number): Option {
  return new Option(flags, description)
    .env(variable)
    .default(fallback)
    .argParser((value) => {
      const port = Number(value);
      if (!Number.isInteger(port) || port < 1 || port > 65535) {
        throw new InvalidArgumentError("use a port from 1 to 65535");
      }
      return port;
    });
}

/** The address under which this machine reaches a listener. */
export function originOf(host: string, port: number): string {
  const reachable = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`;
}
