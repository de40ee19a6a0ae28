import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { addConfigFlags, configTable } from "../../../src/config/flags.js";
import { configOptions, variableOf } from "../../../src/config/options.js";

describe("the help of serve", () => {
  const help = (helpWidth: number) =>
    addConfigFlags(
      new Command("serve").configureOutput({ getOutHelpWidth: () => helpWidth }),
    ).helpInformation();

  it("shows every option with its names and default, as the table of docs/ does", () => {
    const text = help(80).replace(/\s+/g, " ");
    for (const option of configOptions) {
      expect(text).toContain(`--${option.name} ${option.placeholder}`);
      expect(text).toContain(variableOf(option));
      expect(configTable()).toContain(`\`${variableOf(option)}\``);
    }
    expect(text).toContain("default: a quarter of the container's memory limit");
  });

  it.each([60, 80, 100])("wraps at %i columns", (columns) => {
    const [longest = ""] = help(columns)
      .split("\n")
      .toSorted((a, b) => b.length - a.length);
    expect(longest.length).toBeLessThanOrEqual(columns);
    expect(longest.length).toBeGreaterThan(columns / 2);
  });
});
