import { stringify } from "yaml";
import { MEMORY_BUDGET_BYTES_DEFAULT, MEMORY_BUDGET_BYTES_MIN } from "../core/model/limits.js";
import { type Config, type ConfigKey, configOptions, configSchema, fileKeyOf, flagOf } from "./options.js";
import { parsePostgresUrl } from "./postgres-url.js";
import {
  type ConfigFile,
  defaultSettings,
  environmentSettings,
  fileSettings,
  flagSettings,
  type GivenFlags,
  type Mistake,
  type Setting,
} from "./settings.js";
import { unreadable, withoutSecrets } from "./without-secrets.js";

/** Where a configuration comes from; flags win over the environment, and that over the file. */
export interface ConfigSources {
  readonly flags: GivenFlags;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file: ConfigFile | undefined;
  /** The container's memory limit in bytes, if it has one. */
  readonly memoryLimitBytes: number | undefined;
}

export interface ParsedConfig {
  readonly config: Config;
  /** The configuration as a file that can be read again, without secrets, each line with the place that it comes from. */
  readonly yaml: string;
}

/** All that is wrong with a configuration; its message has one line for each mistake. */
export class ConfigError extends Error {
  readonly mistakes: readonly Mistake[];

  constructor(mistakes: readonly Mistake[]) {
    const shown = mistakes.map(({ place, problem }) => ({
      place: withoutSecrets(place.replace(/\s+/g, " ")),
      problem,
    }));
    super(shown.map(({ place, problem }) => `${place}: ${problem}`).join("\n"));
    this.name = "ConfigError";
    this.mistakes = shown;
  }
}

/** Joins the sources. Throws a ConfigError that names every mistake of every source. */
export function parseConfig(sources: ConfigSources): ParsedConfig {
  const read = [
    defaultSettings(String(defaultMemoryBytes(sources.memoryLimitBytes))),
    sources.file === undefined ? { settings: [], mistakes: [] } : fileSettings(sources.file),
    environmentSettings(sources.environment),
    flagSettings(sources.flags),
  ];
  const settings = read.flatMap((source) => source.settings);
  const effective = new Map(settings.map((setting) => [setting.option.key, setting]));
  const mistakes = [
    ...read.flatMap((source) => source.mistakes),
    ...settings.flatMap(mistakesIn),
    ...contradictionsIn(effective, sources.environment),
  ];
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  const texts = Object.fromEntries([...effective].map(([key, setting]) => [key, inputOf(setting)]));
  return { config: configSchema.parse(texts), yaml: toYaml(effective) };
}

/** What each setting allows and both together do not. */
function contradictionsIn(
  effective: ReadonlyMap<ConfigKey, Setting>,
  environment: ConfigSources["environment"],
): Mistake[] {
  const config = readableOf(effective);
  const placeOf = (key: ConfigKey) => effective.get(key)!.place;
  // A printed configuration names the defaults as well.
  const isGiven = (key: ConfigKey) => !isDefault(effective.get(key)!);
  const mistakes = NEEDS.filter(
    ({ key, other, isMet }) => isGiven(key) && other in config && !isMet(config),
  ).map(({ key, what }) => ({ place: placeOf(key), problem: `requires ${what}` }));
  if (config.log === undefined || config.log === "memory") return mistakes;
  const { problem } = parsePostgresUrl(config.log, environment);
  if (problem !== undefined) mistakes.push({ place: placeOf("log"), problem });
  // Without a word the server would refuse a password that was given this way.
  if (environment["PGPASSFILE"] && !environment["PGPASSWORD"] && config.logPasswordFile === undefined) {
    const ignored = "is not read; use --log-password-file or PGPASSWORD";
    mistakes.push({ place: "PGPASSFILE", problem: ignored });
  }
  return mistakes;
}

/** What can be read of a configuration; what a mistaken setting contradicts cannot be told. */
function readableOf(effective: ReadonlyMap<ConfigKey, Setting>): Partial<Config> {
  const entries = [...effective].flatMap(([key, setting]) => {
    const { success, data } = configSchema.shape[key].safeParse(inputOf(setting));
    return success ? [[key, data] as const] : [];
  });
  return Object.fromEntries(entries);
}

interface Need {
  readonly key: ConfigKey;
  readonly what: string;
  /** The option that would meet it. */
  readonly other: ConfigKey;
  readonly isMet: (config: Partial<Config>) => boolean;
}

const overPostgres = {
  what: "a --log of postgres://…",
  other: "log",
  isMet: ({ log }: Partial<Config>) => log !== "memory",
} as const;
const withTier = {
  what: "a --tier",
  other: "tier",
  isMet: ({ tier }: Partial<Config>) => tier !== "none",
} as const;
const overTls = {
  what: "a --tier that begins with rediss",
  other: "tier",
  isMet: ({ tier }: Partial<Config>) => tier !== "none" && tier?.tls === true,
} as const;
const withSentinels = {
  what: "a --tier of Sentinels",
  other: "tier",
  isMet: ({ tier }: Partial<Config>) => tier !== "none" && tier?.topology === "sentinel",
} as const;

/** What an option is of no use without: whoever gives it believes that it counts. */
const NEEDS: readonly Need[] = [
  { key: "logPasswordFile", ...overPostgres },
  { key: "logSchema", ...overPostgres },
  { key: "tier", ...overPostgres },
  { key: "tier", ...needs("tierKeyFile") },
  { key: "tierTtlMs", ...withTier },
  { key: "tierKeyPrefix", ...withTier },
  { key: "tierKeyFile", ...withTier },
  { key: "tierUsernameFile", ...withTier },
  // The client library sends no user's name without a password: it would be the default user.
  { key: "tierUsernameFile", ...needs("tierPasswordFile") },
  { key: "tierPasswordFile", ...withTier },
  { key: "tierSentinelUsernameFile", ...withSentinels },
  { key: "tierSentinelUsernameFile", ...needs("tierSentinelPasswordFile") },
  { key: "tierSentinelPasswordFile", ...withSentinels },
  { key: "tierTlsCaFile", ...overTls },
  { key: "tierTlsCertFile", ...overTls },
  { key: "tierTlsCertFile", ...needs("tierTlsKeyFile") },
  { key: "tierTlsKeyFile", ...overTls },
  { key: "tierTlsKeyFile", ...needs("tierTlsCertFile") },
];

function isDefault(setting: Setting): boolean {
  const { defaults } = setting.option;
  const given = inputOf(setting);
  return given === undefined || (typeof given === "string" && given === defaults[0]);
}

function needs(other: ConfigKey): Omit<Need, "key"> {
  return { what: flagOf(other), other, isMet: (config) => config[other] !== undefined };
}

/** A quarter of the limit, or the fixed default without one; never below the least budget. */
function defaultMemoryBytes(limitBytes: number | undefined): number {
  if (limitBytes === undefined) return MEMORY_BUDGET_BYTES_DEFAULT;
  return Math.max(MEMORY_BUDGET_BYTES_MIN, Math.floor(limitBytes / 4));
}

/** URLs, so that a mistaken value may be nothing but a password. */
const MAY_HOLD_PASSWORD: ReadonlySet<ConfigKey> = new Set(["log", "tier"]);

/** A setting is validated wherever it comes from, even if another one outranks it. */
function mistakesIn(setting: Setting): Mistake[] {
  const { option, texts, place } = setting;
  const result = configSchema.shape[option.key].safeParse(inputOf(setting));
  return (result.error?.issues ?? []).map(({ message, path }) => {
    const text = texts[Number(path[0] ?? 0)];
    return {
      place,
      problem:
        text === undefined || MAY_HOLD_PASSWORD.has(option.key)
          ? message
          : `${JSON.stringify(unreadable(text))} ${message}`,
    };
  });
}

/** Of a flag that is given twice and takes one value, the last counts. */
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
