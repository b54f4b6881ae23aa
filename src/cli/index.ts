/** The `sluice` command. */
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { findTarget } from "./api.ts";
import { addServeOptions, dataDirOption, type ServeConfig } from "./config.ts";
import { UsageError } from "./data.ts";
import { explain } from "./explain.ts";
import { metrics } from "./metrics.ts";
import { affinity, options } from "./options.ts";
import {
  command,
  exitCode,
  find,
  list,
  type RolloutView,
  type StartOptions,
  start,
  toText,
  watch,
} from "./rollout.ts";
import { type SimulateOptions, showSimulation, simulate } from "./simulate.ts";
import { createToken, listTokens, revokeToken } from "./token.ts";
import { exportLine, runWrangler, wranglerEnv } from "./wrangler.ts";

const program = new Command("sluice").description(
  "Gradual deployments for Workers on infrastructure you own, driven by the unmodified wrangler.",
);

addServeOptions(program.command("serve").description("serve traffic and the API, with state on disk")).action(
  async (options: ServeConfig) => {
    // Only this command needs the runtime; the others start faster without it.
    const { serve } = await import("./serve.ts");
    await serve(options);
  },
);

program
  .command("env")
  .description("print the variables that point wrangler at this server, for eval")
  .addOption(dataDirOption())
  .action(({ dataDir }: { dataDir: string }) => {
    console.log(exportLine(wranglerEnv(findTarget(dataDir))));
  });

program
  .command("wrangler")
  .description(
    "run wrangler with those variables; every argument is wrangler's (data folder: SLUICE_DATA_DIR)",
  )
  .argument("[args...]")
  .allowUnknownOption()
  .helpOption(false)
  .action(async (args: string[]) => {
    const target = findTarget(process.env.SLUICE_DATA_DIR ?? ".sluice");
    process.exitCode = await runWrangler(args, wranglerEnv(target));
  });

program
  .command("explain")
  .description("show which version a request gets, and why")
  .argument("<worker>")
  .option("--key <key>", "the request key")
  .option("--override <version>", "the version that the overrides header would name")
  .option("--json", "as JSON")
  .addOption(dataDirOption())
  .action(
    async (worker: string, options: { key?: string; override?: string; json?: boolean; dataDir: string }) => {
      if (options.key === undefined && options.override === undefined) {
        throw new UsageError("Say which request: --key <request key>, --override <version id>, or both.");
      }
      console.log(await explain(findTarget(options.dataDir), worker, options));
    },
  );

const rollout = program
  .command("rollout")
  .description("roll out a version in stages that advance on evidence and roll back on it");

const show = (found: RolloutView | readonly RolloutView[], json: boolean | undefined) => {
  const views = Array.isArray(found) ? found : [found];
  console.log(json ? JSON.stringify(found, null, 2) : views.map(toText).join("\n\n"));
};

rollout
  .command("start")
  .argument("<worker>")
  .requiredOption("--to <version>", "id or tag of the version, or latest")
  .option(
    "--stages <stages>",
    "percentage and time of each stage, e.g. 5%:10m,25%:30m,100%; :manual waits for approval",
  )
  .addOption(new Option("--template <name>", "a plan by name").choices(["fast", "standard", "careful"]))
  .addOption(new Option("--on-fail <what>", "what a failed gate does").choices(["rollback", "hold"]))
  .option("--alpha <p>", "probability of a false rollback in the whole rollout", toNumber)
  .option("--min-exposures <n>", "clients of the candidate that each stage needs", toNumber)
  .option(
    "--wait",
    "wait until it ends or needs an operator; exits with 0 promoted, 2 rolled back, 3 otherwise",
  )
  .option("--json", "as JSON")
  .addOption(dataDirOption())
  .action(
    async (worker: string, given: StartOptions & { wait?: boolean; json?: boolean; dataDir: string }) => {
      const target = findTarget(given.dataDir);
      const started = await start(target, worker, given);
      if (given.wait !== true) return show(started, given.json);
      const print = given.json ? () => {} : console.log;
      const ended = await watch(target, worker, started.id, { print, isTerminal: false });
      if (given.json) show(ended, true);
      process.exitCode = exitCode(ended);
    },
  );

rollout
  .command("watch")
  .argument("<worker>")
  .argument("[id]", "default: the newest rollout")
  .addOption(dataDirOption())
  .action(async (worker: string, id: string | undefined, { dataDir }: { dataDir: string }) => {
    const target = findTarget(dataDir);
    const found = await find(target, worker, id);
    await watch(target, worker, found.id, { print: console.log, isTerminal: process.stdout.isTTY === true });
  });

rollout
  .command("list")
  .argument("<worker>")
  .option("--json", "as JSON")
  .addOption(dataDirOption())
  .action(async (worker: string, { json, dataDir }: { json?: boolean; dataDir: string }) => {
    const found = await list(findTarget(dataDir), worker);
    if (json) return show(found, true);
    for (const { id, created_on, phase, reason } of found)
      console.log(`${created_on}  ${id}  ${phase}: ${reason}`);
  });

for (const [name, description] of [
  ["status", "show it"],
  ["pause", "stay in this stage; a failing candidate is still rolled back"],
  ["resume", "go on after a pause"],
  ["approve", "advance to the next stage, whatever the gate waits for"],
  ["promote", "give the candidate all traffic now"],
  ["abort", "give the stable version all traffic now"],
] as const) {
  rollout
    .command(name)
    .description(description)
    .argument("<worker>")
    .argument("[id]", "default: the newest rollout")
    .option("--json", "as JSON")
    .addOption(dataDirOption())
    .action(
      async (
        worker: string,
        id: string | undefined,
        { json, dataDir }: { json?: boolean; dataDir: string },
      ) => {
        const target = findTarget(dataDir);
        show(
          name === "status" ? await find(target, worker, id) : await command(target, worker, id, name),
          json,
        );
      },
    );
}

program
  .command("simulate")
  .description("predict what a rollout's plan would do, with a model of traffic or a log")
  .option("--stages <stages>", "as for sluice rollout start")
  .addOption(new Option("--template <name>", "a plan by name").choices(["fast", "standard", "careful"]))
  .option("--alpha <p>", "probability of a false rollback", toNumber)
  .option(
    "--clients <n>",
    "distinct clients per second; for a log without times, requests per second",
    toNumber,
    100,
  )
  .option("--stable <percent>", "clients of the stable version that fail", toNumber, 0.5)
  .option("--candidate <percent>", "clients of the candidate that fail (default: the same)", toNumber)
  .option("--log <file>", "JSON lines of key, status and time, instead of the model")
  .option("--aa", "compare a version with itself: how often is a good version rolled back?")
  .option("--runs <n>", "rollouts", toNumber, 200)
  .option("--hours <n>", "hours after which a simulated rollout ends undecided", toNumber, 24)
  .option("--seed <n>", "seed of the random numbers", toNumber, 1)
  .option("--json", "as JSON")
  .action(async (options: SimulateOptions & { json?: boolean }) => {
    const found = simulate(options);
    console.log(options.json ? JSON.stringify(found, null, 2) : showSimulation(found, options.aa === true));
  });

program
  .command("metrics")
  .description("show a Worker's requests, errors and latencies by version")
  .argument("<worker>")
  .option("--json", "as JSON")
  .addOption(dataDirOption())
  .action(async (worker: string, { json, dataDir }: { json?: boolean; dataDir: string }) => {
    console.log(await metrics(findTarget(dataDir), worker, json === true));
  });

const token = program.command("token").description("create, list and revoke API tokens");

token
  .command("create")
  .description("create a token, which is shown once")
  .argument("<name>")
  .addOption(
    new Option("--role <role>", "admin: everything; deploy: all but tokens; read: changes nothing")
      .choices(["admin", "deploy", "read"])
      .makeOptionMandatory(),
  )
  .option("--json", "as JSON")
  .addOption(dataDirOption())
  .action(
    async (name: string, { role, json, dataDir }: { role: string; json?: boolean; dataDir: string }) => {
      const created = await createToken(findTarget(dataDir), name, role);
      console.log(json ? JSON.stringify(created, null, 2) : created.value);
    },
  );

token
  .command("list")
  .option("--json", "as JSON")
  .addOption(dataDirOption())
  .action(async ({ json, dataDir }: { json?: boolean; dataDir: string }) => {
    const tokens = await listTokens(findTarget(dataDir));
    if (json) return console.log(JSON.stringify(tokens, null, 2));
    for (const { name, role, id, created_on, created_by, last_used_on } of tokens) {
      console.log(
        `${name}  ${role}  ${id}  made ${created_on} by ${created_by}, used ${last_used_on ?? "never"}`,
      );
    }
  });

token
  .command("revoke")
  .description("revoke a token, and end every session that it opened")
  .argument("<token>", "its name or id")
  .addOption(dataDirOption())
  .action(async (name: string, { dataDir }: { dataDir: string }) => {
    const { id } = await revokeToken(findTarget(dataDir), name);
    console.log(`Revoked ${id}.`);
  });

program
  .command("affinity")
  .description("show or set where requests to a Worker carry their key")
  .argument("<worker>")
  .argument(
    "[sources...]",
    "in order: header:<name>, cookie:<name>, address, issued-cookie[:<name>]; or default",
  )
  .option("--json", "as JSON")
  .addOption(dataDirOption())
  .action(
    async (worker: string, sources: string[], { json, dataDir }: { json?: boolean; dataDir: string }) => {
      console.log(await affinity(findTarget(dataDir), worker, sources, json === true));
    },
  );

program
  .command("protect")
  .description("show or set whether wrangler deploy may replace a split of a Worker")
  .argument("<worker>")
  .addArgument(new Argument("[state]", "on: it may not replace a split; off: it may").choices(["on", "off"]))
  .option("--json", "as JSON")
  .addOption(dataDirOption())
  .action(
    async (
      worker: string,
      state: string | undefined,
      { json, dataDir }: { json?: boolean; dataDir: string },
    ) => {
      const change = state === undefined ? {} : { protect: state === "on" };
      console.log(await options(findTarget(dataDir), worker, change, json === true));
    },
  );

program
  .command("options")
  .description("show or set how a Worker's deployments behave")
  .argument("<worker>")
  .addOption(
    new Option("--expose-version <state>", "whether responses name the version that made them").choices([
      "on",
      "off",
    ]),
  )
  .option("--retain-versions <n>", "deployed versions whose assets stay reachable", toNumber)
  .option("--retain-hours <n>", "hours that a version's assets stay reachable after its deployment", toNumber)
  .option("--json", "as JSON")
  .addOption(dataDirOption())
  .action(
    async (
      worker: string,
      given: {
        exposeVersion?: string;
        retainVersions?: number;
        retainHours?: number;
        json?: boolean;
        dataDir: string;
      },
    ) => {
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
    },
  );

function toNumber(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new InvalidArgumentError("use a number");
  return value;
}

try {
  await program.enablePositionalOptions().parseAsync();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`sluice: ${error.message}`);
  process.exit(1);
}
