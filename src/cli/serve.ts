/** `sluice serve`: starts both sides of a server, and stops them on a signal. */
import { setTimeout as sleep } from "node:timers/promises";
import { call, type Target } from "./api.ts";
import { originOf, type ServeConfig } from "./config.ts";
import { DataDir, UsageError } from "./data.ts";
import { deployDemo } from "./demo.ts";
import { createLogger, type Logger } from "./logger.ts";
import type { Suspect } from "./processes/blame.ts";
import { Processes } from "./processes/index.ts";

const SAFE_MODE = "only stable versions run; alarms, queues and crons wait for a start without --safe-mode";

/** How long a stop waits for the server to prepare it, in ms. */
const PREPARE_STOP_MS = 500;

/** How long a version that does harm is tried to be taken back, in ms. */
const TAKE_BACK_MS = 60_000;

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
  const isTerminal = process.stdout.isTTY === true;
  const logger = createLogger(config.log, isTerminal);
  const { token, isNew } =
    config.apiToken === undefined ? data.token() : { token: config.apiToken, isNew: false };
  const control = originOf(config.host, config.controlPort);
  const target: Target = { control, accountId: config.accountId, token };
  const processes = await Processes.start({
    config,
    data,
    logger,
    target,
    harmful: (culprit) => void takeBack(target, culprit, logger),
    changed: (pids) =>
      data.writeServer({
        pid: process.pid,
        ...pids,
        traffic: originOf(config.host, config.trafficPort),
        control,
        account_id: config.accountId,
      }),
  });
  stopOnSignals(processes, target, { data, logger });

  const demo = fresh && config.demo && (await tryDemo(target, logger));
  const traffic = `http://${config.domain}:${config.trafficPort}`;
  logger.log("info", "ready", {
    traffic,
    control,
    account_id: config.accountId,
    data_dir: data.path,
    wrangler: 'eval "$(npx sluice env)"',
  });
  if (config.safeMode) logger.log("warn", "safe-mode", { meaning: SAFE_MODE });
  if (isTerminal) greet({ traffic, control, config, shownToken: isNew ? token : undefined, demo });
  else if (isNew) logger.log("info", "token-created", { token });
  await processes.validator.warm();
}

/** Puts a version that ended its process twice into quarantine. Never rejects. */
async function takeBack(target: Target, { worker, version }: Suspect, logger: Logger): Promise<void> {
  const why = "it ended the process that ran it twice, by hanging or by using too much memory";
  const deadline = Date.now() + TAKE_BACK_MS;
  for (;;) {
    try {
      await call(target, "POST", `/workers/scripts/${worker}/quarantine`, { version_id: version, why });
      return;
    } catch (error) {
      // The process with the API may be the one that has just ended.
      if (Date.now() < deadline) await sleep(500);
      else return logger.log("error", "quarantine-failed", { worker, version, why: String(error) });
    }
  }
}

/** The first signal drains the server. The second one ends it at once. */
function stopOnSignals(
  processes: Processes,
  target: Target,
  { data, logger }: { readonly data: DataDir; readonly logger: Logger },
): void {
  let isStopping = false;
  const stop = async (signal: NodeJS.Signals) => {
    if (isStopping) process.exit(1);
    isStopping = true;
    logger.log("info", "draining", { signal });
    await prepareStop(target);
    await processes.drain();
    data.close();
    logger.log("info", "stopped");
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    process.on(signal, (each) => void stop(each));
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
