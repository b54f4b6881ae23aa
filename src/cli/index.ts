/** The `sluice` command. */
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { findTarget } from "./api.ts";
import { addServeOptions, dataDirOption, type ServeConfig } from "./config.ts";
import { UsageError } from "./data.ts";
import { explain } from "./explain.ts";
import { affinity, options } from "./options.ts";
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
  .description("say which version a request gets, and why")
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

program
  .command("affinity")
  .description("say or set where requests to a Worker carry their key")
  .argument("<worker>")
  .argument(
    "[sources...]",
    "in their order: header:<name>, cookie:<name>, address, issued-cookie[:<name>]; or default",
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
  .description("say whether wrangler deploy may replace a split of a Worker")
  .argument("<worker>")
  .addArgument(new Argument("[state]", "on: it may not; off: it may").choices(["on", "off"]))
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
  .description("say or set how a Worker's deployments behave")
  .argument("<worker>")
  .addOption(
    new Option("--expose-version <state>", "whether responses say which version made them").choices([
      "on",
      "off",
    ]),
  )
  .option("--retain-versions <n>", "deployed versions whose assets stay reachable", toNumber)
  .option("--retain-hours <n>", "how long the assets of any version do after its deployment", toNumber)
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
