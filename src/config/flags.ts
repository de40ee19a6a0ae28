import { type Command, Option } from "commander";
import { configOptions, defaultOf, variableOf } from "./options.js";
import type { GivenFlags } from "./settings.js";

/**
 * Adds a flag for each option. Their values stay text, since the schema reads
 * them whatever their source; unknown flags are left to `parseConfig` as well,
 * which reports them together with all other mistakes.
 */
export function addConfigFlags(command: Command): Command {
  for (const option of configOptions) {
    const several = option.several ? "; may be given several times" : "";
    const origin = `env: ${variableOf(option)}, default: ${defaultOf(option)}`;
    const flag = new Option(
      `--${option.name} ${option.placeholder}`.trimEnd(),
      `${option.description}${several} (${origin})`,
    );
    if (option.placeholder !== "") {
      flag.argParser((text: string, before: readonly string[] = []) => [...before, text]);
    }
    command.addOption(flag);
  }
  return command.allowUnknownOption().allowExcessArguments();
}

/** What was given to a command that has these flags. */
export function givenFlags(command: Command): GivenFlags {
  const values = new Map(Object.entries(command.opts<Record<string, unknown>>()));
  const texts = new Map<string, readonly string[]>();
  for (const option of command.options) {
    const value = values.get(option.attributeName());
    // A flag without a value.
    if (value === true) texts.set(option.name(), ["true"]);
    else if (Array.isArray(value)) texts.set(option.name(), value.map(String));
  }
  return { texts, unknown: command.args };
}
