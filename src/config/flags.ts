import { type Command, Option } from "commander";
import type { OptionText } from "./option.js";
import { configOptions, fileKeyOf, variableOf } from "./options.js";
import type { GivenFlags } from "./settings.js";

const INDENT = 6;

/**
 * Adds a flag for each option. The values stay text: the schema reads them like values of
 * every source. `parseConfig` also reports unknown flags, together with all other errors.
 */
export function addConfigFlags(command: Command): Command {
  for (const option of configOptions) {
    const several = option.several ? "; may be given several times" : "";
    const origin = `env: ${variableOf(option)}; default: ${defaultOf(option)}`;
    const flag = new Option(
      `--${option.name} ${option.placeholder}`.trimEnd(),
      `${option.description}${several} (${origin}).`,
    );
    if (option.placeholder !== "") {
      flag.argParser((text: string, before: readonly string[] = []) => [...before, text]);
    }
    command.addOption(flag);
  }
  return command
    .allowUnknownOption()
    .allowExcessArguments()
    .configureHelp({
      // The flags are long: a column beside them would be too narrow for the text.
      formatItem: (term, _termWidth, description, helper) => {
        const text = helper.boxWrap(description, (helper.helpWidth ?? 80) - INDENT);
        return `  ${term}\n${text.replace(/^/gm, " ".repeat(INDENT))}`;
      },
    });
}

/** The flags that a command with `addConfigFlags` was given. */
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

/** The options as a Markdown table, for docs/. */
export function configTable(): string {
  const rows = configOptions.map((option) => {
    const several = option.several ? " (several)" : "";
    const names = [`--${option.name}`, variableOf(option), fileKeyOf(option)].map(code).join("<br>");
    const standard = option.default === undefined ? defaultOf(option) : code(option.default);
    return `| ${names} | ${option.description}${several} | ${standard} |`;
  });
  return ["| Flag, variable, key | Meaning | Default |", "|---|---|---|", ...rows].join("\n");
}

function defaultOf(option: OptionText): string {
  return option.defaultNote ?? option.default ?? "none";
}

function code(text: string): string {
  return `\`${text}\``;
}
