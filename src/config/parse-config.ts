import { stringify } from "yaml";
import { MEMORY_BUDGET_BYTES_DEFAULT, MEMORY_BUDGET_BYTES_MIN } from "../core/model/limits.js";
import { type Config, type ConfigKey, configOptions, configSchema, fileKeyOf } from "./options.js";
import { contradictionsIn } from "./requirements.js";
import {
  type ConfigFile,
  defaultSettings,
  environmentSettings,
  fileSettings,
  flagSettings,
  type GivenFlags,
  type Problem,
  type Setting,
} from "./settings.js";
import { unreadable, withoutSecrets } from "./without-secrets.js";

/** The sources of a configuration. Flags override the environment, which overrides the file. */
export interface ConfigSources {
  readonly flags: GivenFlags;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file: ConfigFile | undefined;
  /** The container's memory limit in bytes, if it has one. */
  readonly memoryLimitBytes: number | undefined;
}

export interface ParsedConfig {
  readonly config: Config;
  /** The configuration as a valid file without secrets; a comment in each line names the source. */
  readonly yaml: string;
}

/** All errors of a configuration. The message has one line for each. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const shown = problems.map(({ place, problem }) => ({
      place: withoutSecrets(place.replace(/\s+/g, " ")),
      problem,
    }));
    super(shown.map(({ place, problem }) => `${place}: ${problem}`).join("\n"));
    this.name = "ConfigError";
    this.problems = shown;
  }
}

/** Joins the sources. Throws a ConfigError that names every error of every source. */
export function parseConfig(sources: ConfigSources): ParsedConfig {
  const read = [
    defaultSettings(String(defaultMemoryBytes(sources.memoryLimitBytes))),
    sources.file === undefined ? { settings: [], problems: [] } : fileSettings(sources.file),
    environmentSettings(sources.environment),
    flagSettings(sources.flags),
  ];
  const settings = read.flatMap((source) => source.settings);
  const effective = new Map(settings.map((setting) => [setting.option.key, setting]));
  const problems = [
    ...read.flatMap((source) => source.problems),
    ...settings.flatMap(problemsIn),
    ...problemsAcross(effective, sources.environment),
  ];
  if (problems.length > 0) throw new ConfigError(problems);
  const texts = Object.fromEntries([...effective].map(([key, setting]) => [key, inputOf(setting)]));
  return { config: configSchema.parse(texts), yaml: toYaml(effective) };
}

function problemsAcross(
  effective: ReadonlyMap<ConfigKey, Setting>,
  environment: ConfigSources["environment"],
): Problem[] {
  const valid: Partial<Record<ConfigKey, unknown>> = {};
  for (const [key, setting] of effective) {
    const { success, data } = configSchema.shape[key].safeParse(inputOf(setting));
    if (success) valid[key] = data;
  }
  // A printed configuration also contains the defaults.
  const given = [...effective.values()].filter((setting) => !isDefault(setting));
  const keys = new Set(given.map(({ option }) => option.key));
  return contradictionsIn(valid as Partial<Config>, keys, environment).map(([of, problem]) => ({
    place: of === "PGPASSFILE" ? of : effective.get(of)!.place,
    problem,
  }));
}

function isDefault(setting: Setting): boolean {
  const given = inputOf(setting);
  return given === undefined || (typeof given === "string" && given === setting.option.default);
}

/** A quarter of the limit, or the fixed default without a limit; never below the minimum. */
function defaultMemoryBytes(limitBytes: number | undefined): number {
  if (limitBytes === undefined) return MEMORY_BUDGET_BYTES_DEFAULT;
  return Math.max(MEMORY_BUDGET_BYTES_MIN, Math.floor(limitBytes / 4));
}

/** Options whose value is a URL: an invalid value may be a password. */
const MAY_HOLD_PASSWORD: ReadonlySet<ConfigKey> = new Set(["log", "tier"]);

/** Every setting is validated, even if another source overrides it. */
function problemsIn(setting: Setting): Problem[] {
  const { option, texts, place } = setting;
  const result = configSchema.shape[option.key].safeParse(inputOf(setting));
  return (result.error?.issues ?? []).map(({ message, path }) => {
    const text = texts[Number(path[0] ?? 0)];
    const isShown = text !== undefined && !MAY_HOLD_PASSWORD.has(option.key);
    return { place, problem: isShown ? `${JSON.stringify(unreadable(text))} ${message}` : message };
  });
}

/** The last value of a flag that takes one value counts. */
function inputOf({ option, texts }: Setting): readonly string[] | string | undefined {
  return option.several ? texts : texts.at(-1);
}

function toYaml(effective: ReadonlyMap<ConfigKey, Setting>): string {
  return configOptions
    .flatMap(({ key }) => effective.get(key) ?? [])
    .filter((setting) => inputOf(setting) !== undefined)
    .map((setting) => {
      const input = inputOf(setting);
      const shown = typeof input === "string" ? withoutSecrets(input) : input?.map(withoutSecrets);
      const value = stringify(shown, { collectionStyle: "flow", lineWidth: 0 }).trimEnd();
      return `${fileKeyOf(setting.option)}: ${value} # ${withoutSecrets(setting.place)}\n`;
    })
    .join("");
}
