/** The commands of `sluice rollout`. */
import { type Command, Option } from "commander";
import { findTarget, type Target } from "./api.ts";
import { dataDirOption } from "./config.ts";
import { UsageError } from "./data.ts";
import { templateOption, toNumber, withAnswer, withExamples, workerCommand } from "./help.ts";
import { certificate, command, find, list, start } from "./rollout.ts";
import {
  bodyOf,
  type StartOptions,
  toCohort,
  toFreeze,
  toLinked,
  toSeconds,
  toSmoke,
  toStatuses,
} from "./rollout-options.ts";
import { duration, type RolloutView, toText } from "./rollout-text.ts";
import { exitCode, type Screen, TIMED_OUT, watch } from "./rollout-watch.ts";

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
  addCertificate(rollout);
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

/** What `--wait` and `watch` say with their exit codes. */
const EXIT_CODES = `
Exit codes:
  0  promoted
  1  the command could not be carried out
  2  rolled back
  3  aborted, or waits for an operator: it is paused, holds because of a gate, or waits for approval
  ${TIMED_OUT}  the time of --timeout is over; the rollout goes on`;

/** Longest wait that a timer of Node.js can measure, in seconds. */
const MAX_TIMEOUT_SECONDS = 24 * 86_400;

function timeoutOption(): Option {
  return new Option("--timeout <time>", "Stop waiting after this time, e.g. 2h").argParser((text) => {
    const seconds = toSeconds(text);
    if (seconds > MAX_TIMEOUT_SECONDS) throw new UsageError("--timeout can be at most 24d.");
    return seconds;
  });
}

type Started = StartOptions & AnswerOptions & { readonly wait?: boolean; readonly timeout?: number };

function addStart(rollout: Command): void {
  const command = workerCommand(rollout, "start", "Start a rollout")
    .requiredOption("--to <version>", "Version to roll out: its ID, its tag, or latest")
    .option("--plan <file>", "JSON file with a plan, as the API takes it. Other options take precedence")
    .option(
      "--stages <stages>",
      "Share and duration of each stage, e.g. 5%:10m,25%:30m,100%. Append :manual to require approval",
    )
    .addOption(templateOption())
    .option("--min-exposures <n>", "Visits to the candidate that each stage waits for", toNumber);
  addGates(command);
  addSurroundings(command)
    .option("--wait", "Wait until the rollout ends or needs an operator, also through restarts of the server")
    .addOption(timeoutOption());
  withExamples(
    withAnswer(command).addHelpText("after", EXIT_CODES),
    "sluice rollout start shop --to latest",
    "sluice rollout start shop --to next --stages 1%:10m,10%:10m,50%:10m,100% --wait --timeout 2h",
    'sluice rollout start shop --to next --stages 0%:1h,5%:1h,100%:1h --cohort cookie:staff=1 --smoke "GET /health"',
  ).action(async (worker: string, given: Started) => {
    if (given.timeout !== undefined && given.wait !== true) throw new UsageError("--timeout needs --wait.");
    const target = findTarget(given.dataDir);
    const started = await start(target, worker, bodyOf(given));
    if (given.wait !== true) return show(started, given.json);
    const print = given.json ? () => {} : console.log;
    const ended = await waitFor(target, started, given.timeout, {
      print,
      warn: console.error,
      isTerminal: false,
    });
    if (given.json && ended !== undefined) show(ended, true);
  });
}

/** When the candidate fails. */
function addGates(command: Command): void {
  command
    .addOption(new Option("--on-fail <action>", "Action when a gate fails").choices(["rollback", "hold"]))
    .option("--alpha <p>", "Highest probability that the gate rolls back a good version, e.g. 0.01", toNumber)
    .addOption(
      new Option(
        "--reference <what>",
        "What the candidate is compared with: a fresh copy of the stable version, or all of it",
      ).choices(["baseline", "stable"]),
    )
    .option(
      "--fail-status <statuses>",
      "Statuses that count as failures beside 5xx, e.g. 429,404",
      toStatuses,
    )
    .option("--fail-after <time>", "Time without an answer that counts as a failure, e.g. 10s", toSeconds)
    .option("--fail-dataset <name>", "Analytics Engine dataset whose data points count as failures")
    .option("--max-harmed <n>", "Users with a failure on the candidate at which it fails", toNumber)
    .option("--no-cpu", "Do not hold a candidate that takes far more processor time than its baseline")
    .addOption(
      new Option(
        "--require <what>",
        "evidence: end no stage before it is shown that the candidate fails less than twice as often",
      ).choices(["exposures", "evidence"]),
    );
}

/** What happens before and around the stages. */
function addSurroundings(command: Command): Command {
  return command
    .option(
      "--cohort <match>",
      "Users who get the candidate first: cookie:<name>=<value> or header:…",
      toCohort,
    )
    .option(
      "--smoke <request>",
      'Request that the candidate must answer first, e.g. "GET /health 200". Repeatable',
      toSmoke,
    )
    .option(
      "--freeze <window>",
      'Time in which no stage begins: "<cron>;<length>[;<time zone>]". Repeatable',
      toFreeze,
    )
    .option("--link <worker@version>", "Version of another Worker that moves with this rollout", toLinked);
}

function addWatch(rollout: Command): void {
  withId(
    workerCommand(
      rollout,
      "watch",
      "Show a rollout, updated every second, until it ends or needs an operator",
    ),
  )
    .addOption(timeoutOption())
    .addOption(dataDirOption())
    .addHelpText("after", EXIT_CODES)
    .action(
      async (
        worker: string,
        id: string | undefined,
        { dataDir, timeout }: { dataDir: string; timeout?: number },
      ) => {
        const target = findTarget(dataDir);
        const found = await find(target, worker, id);
        const isTerminal = process.stdout.isTTY === true;
        await waitFor(target, found, timeout, { print: console.log, warn: console.error, isTerminal });
      },
    );
}

/**
 * Watches a rollout and sets the exit code.
 *
 * @param timeout in seconds; undefined for none
 * @returns the rollout as it was seen last; undefined where the server never answered
 */
async function waitFor(
  target: Target,
  { worker, id }: RolloutView,
  timeout: number | undefined,
  screen: Screen,
): Promise<RolloutView | undefined> {
  const signal = timeout === undefined ? undefined : AbortSignal.timeout(timeout * 1000);
  const asked = signal === undefined ? target : { ...target, signal };
  const { rollout, isTimedOut } = await watch({ ask: () => find(asked, worker, id), screen, signal });
  if (isTimedOut || rollout === undefined) {
    const seen = rollout === undefined ? "" : ` It was ${rollout.phase}: ${rollout.reason}.`;
    screen.warn(
      `sluice: The rollout has not ended within ${duration(timeout ?? 0)}, and goes on.${seen} Watch it with sluice rollout watch ${worker} ${id}.`,
    );
    process.exitCode = TIMED_OUT;
  } else process.exitCode = exitCode(rollout);
  return rollout;
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

function addCertificate(rollout: Command): void {
  withId(workerCommand(rollout, "certificate", "Print what a rollout's E-values follow from, as JSON"))
    .addOption(dataDirOption())
    .action(async (worker: string, id: string | undefined, { dataDir }: { dataDir: string }) => {
      console.log(JSON.stringify(await certificate(findTarget(dataDir), worker, id), null, 2));
    });
}

function withId(command: Command): Command {
  return command.argument("[id]", "ID of the rollout (default: the newest)");
}

function show(found: RolloutView | readonly RolloutView[], json: boolean | undefined): void {
  const views = Array.isArray(found) ? found : [found];
  console.log(json ? JSON.stringify(found, null, 2) : views.map(toText).join("\n\n"));
}
