/** The commands of `sluice rollout`. */
import { type Command, Option } from "commander";
import { findTarget } from "./api.ts";
import { dataDirOption } from "./config.ts";
import { templateOption, toNumber, withAnswer, withExamples, workerCommand } from "./help.ts";
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

interface AnswerOptions {
  readonly json?: boolean;
  readonly dataDir: string;
}

/** `status` and the commands that change a rollout, with what they do. */
const COMMANDS = [
  ["status", "Show a rollout's stages, gates and phase"],
  ["pause", "Pause a rollout. A failing candidate is still rolled back"],
  ["resume", "Resume a paused rollout"],
  ["approve", "Advance a rollout that holds or waits for approval to its next stage"],
  ["promote", "Give the candidate all traffic now"],
  ["abort", "Give the stable version all traffic now"],
] as const;

export function addRolloutCommands(program: Command): void {
  const rollout = program
    .command("rollout")
    .description("Roll a version out in stages, with automatic rollback");
  addStart(rollout);
  addWatch(rollout);
  addList(rollout);
  for (const [name, description] of COMMANDS) {
    withAnswer(withId(workerCommand(rollout, name, description))).action(
      async (worker: string, id: string | undefined, { json, dataDir }: AnswerOptions) => {
        const target = findTarget(dataDir);
        const found =
          name === "status" ? await find(target, worker, id) : await command(target, worker, id, name);
        show(found, json);
      },
    );
  }
}

function addStart(rollout: Command): void {
  const command = workerCommand(rollout, "start", "Start a rollout")
    .requiredOption("--to <version>", "Version to roll out: its ID, its tag, or latest")
    .option(
      "--stages <stages>",
      "Share and duration of each stage, e.g. 5%:10m,25%:30m,100%. Append :manual to require approval",
    )
    .addOption(templateOption())
    .addOption(new Option("--on-fail <action>", "Action when a gate fails").choices(["rollback", "hold"]))
    .option("--alpha <p>", "Highest probability that a good version is rolled back, e.g. 0.01", toNumber)
    .option("--min-exposures <n>", "Clients of the candidate that each stage waits for", toNumber)
    .option(
      "--wait",
      "Wait until the rollout ends or needs an operator. Exit code: 0 promoted, 2 rolled back, 3 otherwise",
    );
  withExamples(
    withAnswer(command),
    "sluice rollout start shop --to latest",
    "sluice rollout start shop --to next --stages 1%:10m,10%:10m,50%:10m,100% --wait",
  ).action(async (worker: string, given: StartOptions & AnswerOptions & { wait?: boolean }) => {
    const target = findTarget(given.dataDir);
    const started = await start(target, worker, given);
    if (given.wait !== true) return show(started, given.json);
    const print = given.json ? () => {} : console.log;
    const ended = await watch(target, worker, started.id, { print, isTerminal: false });
    if (given.json) show(ended, true);
    process.exitCode = exitCode(ended);
  });
}

function addWatch(rollout: Command): void {
  withId(
    workerCommand(
      rollout,
      "watch",
      "Show a rollout, updated every second, until it ends or needs an operator",
    ),
  )
    .addOption(dataDirOption())
    .action(async (worker: string, id: string | undefined, { dataDir }: { dataDir: string }) => {
      const target = findTarget(dataDir);
      const found = await find(target, worker, id);
      const isTerminal = process.stdout.isTTY === true;
      await watch(target, worker, found.id, { print: console.log, isTerminal });
    });
}

function addList(rollout: Command): void {
  withAnswer(workerCommand(rollout, "list", "List rollouts, newest first")).action(
    async (worker: string, { json, dataDir }: AnswerOptions) => {
      const found = await list(findTarget(dataDir), worker);
      if (json) return show(found, true);
      for (const { id, created_on, phase, reason } of found)
        console.log(`${created_on}  ${id}  ${phase}: ${reason}`);
    },
  );
}

function withId(command: Command): Command {
  return command.argument("[id]", "ID of the rollout (default: the newest)");
}

function show(found: RolloutView | readonly RolloutView[], json: boolean | undefined): void {
  const views = Array.isArray(found) ? found : [found];
  console.log(json ? JSON.stringify(found, null, 2) : views.map(toText).join("\n\n"));
}
