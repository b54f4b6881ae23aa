/** `sluice serve`: starts both sides of a server, and stops them on a signal. */
import { createServer } from "node:net";
import { call, type Target } from "./api.ts";
import { originOf, type ServeConfig } from "./config.ts";
import { DataDir, UsageError } from "./data.ts";
import { deployDemo } from "./demo.ts";
import { createLogger, type Logger } from "./logger.ts";
import { Runtime } from "./runtime.ts";
import { Traffic } from "./traffic.ts";
import { Validator } from "./validator.ts";
import { COMPATIBILITY_DATE } from "./workerd.ts";

/** How long a stop waits for the server to prepare it, in ms. */
const PREPARE_STOP_MS = 500;

export async function serve(config: ServeConfig): Promise<void> {
  const data = new DataDir(config.dataDir);
  if (config.trafficPort === config.controlPort) {
    throw new UsageError(
      `--traffic-port and --control-port are both ${config.trafficPort}. Choose two different ports.`,
    );
  }
  const { fresh } = await data.open();
  try {
    await start(config, data, fresh);
  } catch (error) {
    data.close();
    throw error;
  }
}

async function start(config: ServeConfig, data: DataDir, fresh: boolean): Promise<void> {
  await requireFree(config.host, config.trafficPort, "--traffic-port");
  await requireFree(config.host, config.controlPort, "--control-port");

  const isTerminal = process.stdout.isTTY === true;
  const logger = createLogger(config.log, isTerminal);
  const { token, isNew } =
    config.apiToken === undefined ? data.token() : { token: config.apiToken, isNew: false };
  const control = originOf(config.host, config.controlPort);
  const target: Target = { control, accountId: config.accountId, token };
  const server = await startProcesses(config, { data, logger, token });
  stopOnSignals(server, target, logger);

  const demo = fresh && config.demo && (await tryDemo(target, logger));
  const traffic = `http://${config.domain}:${config.trafficPort}`;
  logger.log("info", "ready", {
    traffic,
    control,
    account_id: config.accountId,
    data_dir: data.path,
    wrangler: 'eval "$(npx sluice env)"',
  });
  if (isTerminal) greet({ traffic, control, config, shownToken: isNew ? token : undefined, demo });
  else if (isNew) logger.log("info", "token-created", { token });
  await server.validator.warm();
}

interface Server {
  readonly runtime: Runtime;
  /** Undefined if the control process serves traffic itself. */
  readonly traffic: Traffic | undefined;
  readonly validator: Validator;
}

interface Parts {
  readonly data: DataDir;
  readonly logger: Logger;
  readonly token: string;
}

/** Starts every process and records their ids in the data folder. When all have drained, this process exits. */
async function startProcesses(config: ServeConfig, { data, logger, token }: Parts): Promise<Server> {
  const traffic = originOf(config.host, config.trafficPort);
  const control = originOf(config.host, config.controlPort);
  const pids = { pid: process.pid, runtime_pid: 0, validator_pid: 0, traffic_pids: [] as readonly number[] };
  const started = (change: Partial<typeof pids>) => {
    Object.assign(pids, change);
    data.writeServer({ ...pids, traffic, control, account_id: config.accountId });
  };
  const draining = new Set(config.processes === 1 ? ["runtime"] : ["runtime", "traffic"]);
  const drained = (which: "runtime" | "traffic") => {
    draining.delete(which);
    if (draining.size > 0) return;
    data.close();
    logger.log("info", "stopped");
    process.exit(0);
  };
  const validator = new Validator(COMPATIBILITY_DATE, (pid) => started({ validator_pid: pid }));
  const processes =
    config.processes === 1
      ? undefined
      : new Traffic(config, logger, {
          started: (traffic_pids) => started({ traffic_pids }),
          drained: () => drained("traffic"),
        });
  const options = {
    config,
    token,
    storage: data.storage,
    validator,
    logger,
    followers: processes?.followers,
  };
  const runtime = await Runtime.start(options, {
    started: (pid) => started({ runtime_pid: pid }),
    drained: () => drained("runtime"),
  });
  await processes?.start();
  return { runtime, traffic: processes, validator };
}

/** The first signal drains the server. The second one ends it at once. */
function stopOnSignals({ runtime, traffic }: Server, target: Target, logger: Logger): void {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
    // Miniflare's own listeners would end the process before its requests have finished.
    process.removeAllListeners(signal);
    process.once(signal, () => {
      logger.log("info", "draining", { signal });
      process.once(signal, () => process.exit(1));
      void prepareStop(target).then(() => {
        traffic?.drain();
        runtime.drain();
      });
    });
  }
}

/** Asks the server to store its counters and to end the live pages, which would keep it from stopping. Never rejects. */
async function prepareStop(target: Target): Promise<void> {
  const late = new Promise((resolve) => setTimeout(resolve, PREPARE_STOP_MS).unref());
  await Promise.race([call(target, "POST", "/drain").catch(() => undefined), late]);
}

/** Deploys the example Worker. If that fails, the server runs without it. @returns whether it is deployed */
async function tryDemo(target: Target, logger: Logger): Promise<boolean> {
  try {
    await deployDemo(target);
    return true;
  } catch (error) {
    logger.log("warn", "demo-failed", { why: String(error) });
    return false;
  }
}

/** Rejects if the port is taken, with the flag that changes it. */
function requireFree(host: string, port: number, flag: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "another program uses this port" : error.message;
      reject(new UsageError(`Cannot listen on ${host}:${port}: ${why}. Choose another port with ${flag}.`));
    });
    probe.listen(port, host, () => probe.close(() => resolve()));
  });
}

interface Greeting {
  readonly traffic: string;
  readonly control: string;
  readonly config: ServeConfig;
  readonly shownToken: string | undefined;
  readonly demo: boolean;
}

function greet({ traffic, control, config, shownToken, demo }: Greeting): void {
  const url = (worker: string) => traffic.replace(config.domain, `${worker}.${config.domain}`);
  const lines = [
    "",
    "  Sluice is running.",
    "",
    `  Traffic   ${url("<worker>")}`,
    `  Dashboard ${control}`,
    `  API       ${control}/client/v4`,
    `  Account   ${config.accountId}`,
    ...(shownToken === undefined
      ? []
      : [`  Token     ${shownToken}   (shown once, kept in ${config.dataDir}/token)`]),
    "",
    ...(demo
      ? [
          "  The example Worker is deployed: 90% of the traffic gets one version, 10% the other. Open it, or request it:",
          `    ${url("hello")}`,
          `    curl ${url("hello")}`,
          "",
        ]
      : []),
    "  Use wrangler in another shell:",
    '    eval "$(npx sluice env)"     then run wrangler in any project',
    "    npx sluice wrangler …        runs one wrangler command",
    "",
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}
