/** How the commands show their help, and the arguments and flags that several of them share. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { dataDirOption } from "./config.ts";

/** Applies to every command below `command` too, if it is called before they are added. */
export function withHelp(command: Command): Command {
  return command
    .helpOption("-h, --help", "Show help")
    .helpCommand("help [command]", "Show help for a command");
}

/** @param lines commands to show below the help, without `$ ` */
export function withExamples(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText("after", `\nExamples:\n${lines.map((line) => `  $ ${line}`).join("\n")}`);
}

/** A command about one Worker. */
export function workerCommand(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description).argument("<worker>", "Name of the Worker");
}

/** The last flags of a command that calls the API and prints the answer. */
export function withAnswer(command: Command): Command {
  return command.option("--json", "Print JSON").addOption(dataDirOption());
}

export function templateOption(): Option {
  return new Option("--template <name>", "Plan to use").choices(["fast", "standard", "careful"]);
}

export function toNumber(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new InvalidArgumentError("Use a number.");
  return value;
}
