/**
 * The process that has the registry and the API, alone, on a data folder without a server: nothing listens on a port, no
 * version runs, and no alarm, queue or cron does.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "../api.ts";
import { type Bundle, loadBundle } from "../bundle.ts";
import { originOf } from "../config.ts";
import { type DataDir, UsageError } from "../data.ts";
import type { Logger } from "../logger.ts";
import { controlConfig, DISKS, socketsOf } from "./configs.ts";
import { RunFolder } from "./folder.ts";
import { hasLegacy } from "./legacy.ts";
import { WorkerdProcess } from "./process.ts";

const ACCOUNT = "sluice";

/**
 * Calls `use` with the API of a data folder that no server uses, and ends the process after it. Throws a `UsageError`
 * where there is no such folder, or a server runs on it.
 */
export async function withOfflineApi<T>(
  data: DataDir,
  logger: Logger,
  use: (api: Target) => Promise<T>,
): Promise<T> {
  if (!data.exists()) {
    throw new UsageError(`There is no server's data in ${data.path}. Name its folder with --data-dir.`);
  }
  await openAlone(data);
  try {
    if (hasLegacy(data.storage)) {
      throw new UsageError(
        `${data.path} was last used by release 0.1. Start this release on it once, with sluice serve --safe-mode.`,
      );
    }
    for (const folder of DISKS) mkdirSync(join(data.storage, folder), { recursive: true });
    return await run(data, logger, use);
  } finally {
    data.close();
  }
}

async function openAlone(data: DataDir): Promise<void> {
  try {
    await data.open();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${error.message} Without --offline, the command goes through the running server.`);
  }
}

async function run<T>(data: DataDir, logger: Logger, use: (api: Target) => Promise<T>): Promise<T> {
  const folder = new RunFolder();
  const token = randomBytes(24).toString("base64url");
  const control = originOf("127.0.0.1", 8788);
  const socket = folder.socket("operators");
  const process = new WorkerdProcess(
    {
      name: "control",
      config: folder.writeConfig(
        "control",
        configOf(await loadBundle("sluice"), { data, folder, token, socket }),
      ),
      ports: [],
      sockets: [...socketsOf("control", "control", false).map((name) => folder.socket(name)), socket],
      // No version runs in it: all that it prints is Sluice's own.
      logKey: "",
    },
    logger,
    {
      // If this program is killed, the next start on the folder ends the process that it left behind.
      spawned: () => noteProcess(data, process.pid ?? 0, control),
      ended: (why) => logger.log("error", "process-ended", { process: "control", ...why }),
    },
  );
  try {
    await process.start();
    return await use({ control, accountId: ACCOUNT, token, socket });
  } finally {
    await process.drain();
    folder.remove();
  }
}

interface Place {
  readonly data: DataDir;
  readonly folder: RunFolder;
  readonly token: string;
  readonly socket: string;
}

function configOf(bundle: Bundle, { data, folder, token, socket }: Place): string {
  return controlConfig({
    modules: folder.writeBundle("sluice", bundle),
    rpcHost: folder.rpcHost,
    certificates: [],
    own: [],
    reachable: [],
    storage: data.storage,
    socket: (name) => folder.socket(name),
    // It is not started, so whatever would run there fails.
    peers: [{ name: "objects", lane: "objects" }],
    controlSocket: socket,
    values: {
      SLUICE_DOMAIN: "localhost",
      SLUICE_ADDRESS_HEADER: "",
      SLUICE_CONTROL_HOST: "",
      SLUICE_BUILD: bundle.build,
      SLUICE_SAFE_MODE: "on",
      SLUICE_LANE: "control",
      SLUICE_TRAFFIC_ORIGIN: "http://localhost",
      SLUICE_ACCOUNT_ID: ACCOUNT,
      SLUICE_TOKEN_SHA256: createHash("sha256").update(token).digest("hex"),
      SLUICE_FOLLOWERS: [],
    },
  });
}

function noteProcess(data: DataDir, runtime_pid: number, control: string): void {
  data.writeServer({
    pid: process.pid,
    runtime_pid,
    validator_pid: 0,
    traffic: "",
    control,
    account_id: ACCOUNT,
  });
}
