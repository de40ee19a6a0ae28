import { Command } from "commander";
import { addConfigFlags, givenFlags } from "../../../src/config/flags.js";
import type { Config } from "../../../src/config/options.js";
import { ConfigError, type ConfigSources, parseConfig } from "../../../src/config/parse-config.js";

interface Given {
  readonly flags?: readonly string[];
  readonly environment?: ConfigSources["environment"];
  readonly file?: string;
  readonly memoryLimitBytes?: number;
}

export function parse({ flags = [], environment = {}, file, memoryLimitBytes }: Given) {
  const command = addConfigFlags(new Command("serve")).exitOverride();
  command.parse([...flags], { from: "user" });
  return parseConfig({
    flags: givenFlags(command),
    environment,
    file: file === undefined ? undefined : { path: "test.yaml", text: file },
    memoryLimitBytes,
  });
}

export const configOf = (given: Given): Config => parse(given).config;

export function problemsOf(given: Given): string[] {
  try {
    parse(given);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n");
    throw error;
  }
  return [];
}

export const MIB = 2 ** 20;

export const OVER_POSTGRES = ["--log", "postgres://u@db/synapse"];
export const withTier = (url: string) => [...OVER_POSTGRES, "--tier", url, "--tier-key-file", "/k"];
