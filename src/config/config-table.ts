import { configOptions, fileKeyOf, variableOf } from "./options.js";

/** The options as a Markdown table, for the README. */
export function configTable(): string {
  const rows = configOptions.map((option) => {
    const several = option.several ? " (several)" : "";
    const names = [`--${option.name}`, variableOf(option), fileKeyOf(option)].map(code).join("<br>");
    const standing =
      option.defaultNote ?? (option.defaults.length === 0 ? "none" : code(option.defaults.join(", ")));
    return `| ${names} | ${option.description}${several} | ${standing} |`;
  });
  return ["| Flag, variable, key | Meaning | Default |", "|---|---|---|", ...rows].join("\n");
}

function code(text: string): string {
  return `\`${text}\``;
}
