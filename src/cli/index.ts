/** The `sluice` command. */
import { Command } from "commander";
import { findTarget } from "./api.ts";
import { addServeOptions, dataDirOption, type ServeConfig } from "./config.ts";
import { UsageError } from "./data.ts";
import { explain } from "./explain.ts";
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

try {
  await program.enablePositionalOptions().parseAsync();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`sluice: ${error.message}`);
  process.exit(1);
}
