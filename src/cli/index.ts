/** The `sluice` command. */
import { Argument, Command, Option } from "commander";
import { findTarget } from "./api.ts";
import { addServeOptions, dataDirOption, type ServeConfig } from "./config.ts";
import { UsageError } from "./data.ts";
import { explain } from "./explain.ts";
import { templateOption, toNumber, withAnswer, withExamples, withHelp, workerCommand } from "./help.ts";
import { incidents, processes } from "./incidents.ts";
import { metrics } from "./metrics.ts";
import { affinity, options, release } from "./options.ts";
import { addRollbackCommand } from "./rollback.ts";
import { addRolloutCommands } from "./rollout-commands.ts";
import { type SimulateOptions, showSimulation, simulate } from "./simulate.ts";
import { createToken, listTokens, revokeToken } from "./token.ts";
import { exportLine, runWrangler, wranglerEnv } from "./wrangler.ts";

const program = withHelp(new Command("sluice")).description(
  "Gradual deployments for Workers on machines you own. Use your wrangler as it is.",
);

withExamples(
  program,
  "sluice serve",
  'eval "$(sluice env)" && wrangler deploy',
  "sluice rollout start shop --to latest --wait",
);

addServeOptions(program.command("serve").description("Start a server for traffic and the API")).action(
  async (options: ServeConfig) => {
    // Only this command needs the runtime; the others start faster without it.
    const { serve } = await import("./serve.ts");
    await serve(options);
  },
);

program
  .command("env")
  .description("Print the shell variables that point wrangler at the server")
  .addOption(dataDirOption())
  .action(({ dataDir }: { dataDir: string }) => {
    console.log(exportLine(wranglerEnv(findTarget(dataDir))));
  });

program
  .command("wrangler")
  .description("Run wrangler against the server. SLUICE_DATA_DIR names the data folder")
  .argument("[args...]", "Arguments for wrangler")
  .allowUnknownOption()
  .helpOption(false)
  .action(async (args: string[]) => {
    const target = findTarget(process.env.SLUICE_DATA_DIR ?? ".sluice");
    process.exitCode = await runWrangler(args, wranglerEnv(target));
  });

withExamples(
  withAnswer(
    workerCommand(program, "explain", "Show which version a request gets, and why")
      .option("--key <key>", "Request key of the request")
      .option("--override <version>", "Version ID in the request's overrides header"),
  ),
  "sluice explain shop --key user-42",
).action(
  async (worker: string, options: { key?: string; override?: string; json?: boolean; dataDir: string }) => {
    if (options.key === undefined && options.override === undefined) {
      throw new UsageError("Describe the request: --key <request key>, --override <version id>, or both.");
    }
    console.log(await explain(findTarget(options.dataDir), worker, options));
  },
);

addRolloutCommands(program);
addRollbackCommand(program);

withExamples(
  program
    .command("simulate")
    .description("Predict how rollouts would end, with simulated or logged traffic")
    .option("--stages <stages>", "Share and duration of each stage, as for sluice rollout start")
    .addOption(templateOption())
    .option("--alpha <p>", "Highest probability that the gate rolls back a good version, e.g. 0.01", toNumber)
    .option(
      "--clients <n>",
      "Distinct clients per second. For a log without times: requests per second",
      toNumber,
      100,
    )
    .option("--requests <n>", "Mean requests of a client", toNumber, 1)
    .option("--pause <seconds>", "Mean pause between two requests of a client", toNumber, 10)
    .option("--stable <percent>", "Share of the stable version's requests that fail", toNumber, 0.5)
    .option(
      "--candidate <percent>",
      "Share of the candidate's requests that fail (default: the same as --stable)",
      toNumber,
    )
    .option("--latency <ms>", "Median time of an answer (default: answers are never slow)", toNumber)
    .option(
      "--candidate-latency <ms>",
      "Median time of the candidate's answers (default: the same as --latency)",
      toNumber,
    )
    .addOption(
      new Option("--reference <what>", "What the candidate is compared with").choices(["baseline", "stable"]),
    )
    .option("--log <file>", "Log to use as traffic: JSON lines with key, status and time")
    .option("--aa", "Compare a version with itself, to see how often a good version is rolled back")
    .option("--runs <n>", "Number of rollouts to simulate", toNumber, 200)
    .option("--hours <n>", "Hours after which a rollout that has not ended is stopped", toNumber, 24)
    .option("--seed <n>", "Seed of the random numbers", toNumber, 1)
    .option("--json", "Print JSON"),
  "sluice simulate --candidate 2 --template standard",
  "sluice simulate --log requests.jsonl --aa",
).action(async (options: SimulateOptions & { json?: boolean }) => {
  const found = simulate(options);
  console.log(options.json ? JSON.stringify(found, null, 2) : showSimulation(found, options.aa === true));
});

withAnswer(
  workerCommand(program, "metrics", "Show a Worker's requests, errors and latencies by version"),
).action(async (worker: string, { json, dataDir }: { json?: boolean; dataDir: string }) => {
  console.log(await metrics(findTarget(dataDir), worker, json === true));
});

withAnswer(
  program.command("processes").description("Show the server's processes: memory, descriptors, restarts"),
).action(async ({ json, dataDir }: { json?: boolean; dataDir: string }) => {
  console.log(await processes(findTarget(dataDir), json === true));
});

withAnswer(
  program.command("incidents").description("Show which of the server's processes ended unasked, and why"),
).action(async ({ json, dataDir }: { json?: boolean; dataDir: string }) => {
  console.log(await incidents(findTarget(dataDir), json === true));
});

const token = program.command("token").description("Manage API tokens");

withAnswer(
  token
    .command("create")
    .description("Create an API token. Its value is shown only once")
    .argument("<name>", "Name of the token")
    .addOption(
      new Option(
        "--role <role>",
        "What the token may do. admin: everything; deploy: everything except tokens; read: view only",
      )
        .choices(["admin", "deploy", "read"])
        .makeOptionMandatory(),
    ),
).action(async (name: string, { role, json, dataDir }: { role: string; json?: boolean; dataDir: string }) => {
  const created = await createToken(findTarget(dataDir), name, role);
  console.log(json ? JSON.stringify(created, null, 2) : created.value);
});

withAnswer(token.command("list").description("List API tokens")).action(
  async ({ json, dataDir }: { json?: boolean; dataDir: string }) => {
    const tokens = await listTokens(findTarget(dataDir));
    if (json) return console.log(JSON.stringify(tokens, null, 2));
    for (const { name, role, id, created_on, created_by, last_used_on } of tokens) {
      const used = last_used_on === null ? "never used" : `last used ${last_used_on}`;
      console.log(`${name}  ${role}  ${id}  created ${created_on} by ${created_by}, ${used}`);
    }
  },
);

token
  .command("revoke")
  .description("Revoke an API token, and end every session that it opened")
  .argument("<token>", "Name or ID of the token")
  .addOption(dataDirOption())
  .action(async (name: string, { dataDir }: { dataDir: string }) => {
    const { id } = await revokeToken(findTarget(dataDir), name);
    console.log(`Revoked token ${id}.`);
  });

withExamples(
  withAnswer(
    workerCommand(program, "affinity", "Show or set where requests carry their key").argument(
      "[sources...]",
      "Sources, first match wins: header:<name>, cookie:<name>, address, issued-cookie[:<name>]. " +
        "Or default, to restore the default",
    ),
  ),
  "sluice affinity shop header:X-User issued-cookie",
).action(
  async (worker: string, sources: string[], { json, dataDir }: { json?: boolean; dataDir: string }) => {
    console.log(await affinity(findTarget(dataDir), worker, sources, json === true));
  },
);

withAnswer(
  workerCommand(program, "protect", "Show or set whether wrangler deploy may replace a split").addArgument(
    new Argument("[state]", "on: refuse wrangler deploy while two versions are deployed").choices([
      "on",
      "off",
    ]),
  ),
).action(
  async (
    worker: string,
    state: string | undefined,
    { json, dataDir }: { json?: boolean; dataDir: string },
  ) => {
    const change = state === undefined ? {} : { protect: state === "on" };
    console.log(await options(findTarget(dataDir), worker, change, json === true));
  },
);

withAnswer(
  workerCommand(program, "release", "Let a version in quarantine run again, or all that is held").argument(
    "[version]",
    "ID of the version; without one, every version, message, alarm and cron",
  ),
).action(
  async (
    worker: string,
    version: string | undefined,
    { json, dataDir }: { json?: boolean; dataDir: string },
  ) => {
    const answer = await release(findTarget(dataDir), worker, version);
    console.log(json ? JSON.stringify({ worker, version: version ?? null, released: true }) : answer);
  },
);

interface SettingOptions {
  readonly exposeVersion?: string;
  readonly retainVersions?: number;
  readonly retainHours?: number;
  readonly json?: boolean;
  readonly dataDir: string;
}

withAnswer(
  workerCommand(program, "options", "Show or set a Worker's options")
    .addOption(
      new Option("--expose-version <state>", "Name the version in every response").choices(["on", "off"]),
    )
    .option("--retain-versions <n>", "Number of deployed versions whose assets are kept", toNumber)
    .option("--retain-hours <n>", "Hours that a version's assets are kept after its deployment", toNumber),
).action(async (worker: string, given: SettingOptions) => {
  const { exposeVersion, retainVersions, retainHours, json, dataDir } = given;
  const retention = {
    ...(retainVersions === undefined ? {} : { versions: retainVersions }),
    ...(retainHours === undefined ? {} : { hours: retainHours }),
  };
  const change = {
    ...(exposeVersion === undefined ? {} : { expose_version: exposeVersion === "on" }),
    ...(Object.keys(retention).length === 0 ? {} : { retention }),
  };
  console.log(await options(findTarget(dataDir), worker, change, json === true));
});

try {
  await program.enablePositionalOptions().parseAsync();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`sluice: ${error.message}`);
  process.exit(1);
}
