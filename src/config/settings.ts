import { isMap, isScalar, isSeq, LineCounter, parseDocument, type YAMLMap } from "yaml";
import { type ConfigOption, configOptions, fileKeyOf, variableOf } from "./options.js";

/** One option of one source: still text, with the place that errors name. */
export interface Setting {
  readonly option: ConfigOption;
  readonly texts: readonly string[];
  readonly place: string;
}

/** An error of the configuration and its place. */
export interface Problem {
  readonly place: string;
  readonly problem: string;
}

/** The settings and the errors of one source. */
export interface Settings {
  readonly settings: readonly Setting[];
  readonly problems: readonly Problem[];
}

/** The configuration file, or why it cannot be read. */
export type ConfigFile =
  | { readonly path: string; readonly text: string }
  | { readonly path: string; readonly problem: string };

/** The arguments of the command line. */
export interface GivenFlags {
  /** The texts given for each flag, by its name without dashes. */
  readonly texts: ReadonlyMap<string, readonly string[]>;
  /** The arguments that are neither a known flag nor its value. */
  readonly unknown: readonly string[];
}

const PREFIX = "SPLITCACHE_";
/** Variables of this program that are no options of `serve`. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  "SPLITCACHE_CONFIG",
  "SPLITCACHE_ADDRESS",
  "SPLITCACHE_ADMIN_ADDRESS",
  "SPLITCACHE_CLIENT_HOMESERVER",
  "SPLITCACHE_CLIENT_TLS_CA_FILE",
  "SPLITCACHE_CLIENT_TLS_CERT_FILE",
  "SPLITCACHE_CLIENT_TLS_KEY_FILE",
  "SPLITCACHE_CLIENT_TLS_SERVER_NAME",
  "SPLITCACHE_CLIENT_TOKEN_FILE",
]);
/** The variables that Kubernetes sets for a Service called splitcache, or splitcache-redis. */
const SERVICE_LINK = /^SPLITCACHE_(.+_)?(SERVICE_HOST|(SERVICE_)?PORT(_.*)?)$/;

/** The defaults of all options. */
export function defaultSettings(memory: string): Settings {
  const settings = configOptions.map((option) => ({
    option,
    texts: option.key === "memoryBytes" ? [memory] : [option.default ?? []].flat(),
    place: "default",
  }));
  return { settings, problems: [] };
}

/** Reads flags. */
export function flagSettings({ texts, unknown }: GivenFlags): Settings {
  const settings = configOptions.flatMap((option) => {
    const given = texts.get(option.name);
    return given === undefined ? [] : [{ option, texts: given, place: `--${option.name}` }];
  });
  // The argument after an unknown flag may be its value: one error is not reported as two.
  const wrong = unknown.filter((text, at) => text.startsWith("-") || !unknown[at - 1]?.startsWith("-"));
  const problems = wrong.map((text) =>
    text.startsWith("-")
      ? { place: text.split("=", 1)[0] ?? text, problem: "is an unknown flag; see splitcache serve --help" }
      : // Not shown: it may be a password without its flag.
        { place: "an argument without a flag", problem: "is not expected; see splitcache serve --help" },
  );
  return { settings, problems };
}

/** Reads SPLITCACHE_* variables; commas separate the values of a list. An empty variable counts as not set. */
export function environmentSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const settings: Setting[] = [];
  const problems: Problem[] = [];
  for (const [place, text = ""] of Object.entries(environment)) {
    if (!place.startsWith(PREFIX) || isAuxiliary(place) || text === "") continue;
    const option = configOptions.find((option) => variableOf(option) === place);
    if (option === undefined) {
      problems.push({
        place,
        problem: `is an unknown variable; valid variables are ${configOptions.map(variableOf).join(", ")}`,
      });
    } else {
      settings.push({
        option,
        texts: option.several ? text.split(",").map((item) => item.trim()) : [text],
        place,
      });
    }
  }
  return { settings, problems };
}

function isAuxiliary(variable: string): boolean {
  return OTHER_VARIABLES.has(variable) || SERVICE_LINK.test(variable);
}

/** Reads a YAML file: a map from keys to values, or to lists of values. */
export function fileSettings(file: ConfigFile): Settings {
  const { path } = file;
  if ("problem" in file) return { settings: [], problems: [{ place: path, problem: file.problem }] };
  const lines = new LineCounter();
  const document = parseDocument(file.text, { lineCounter: lines, prettyErrors: false });
  const placeAt = (offset: number) => `${path}, line ${lines.linePos(offset).line}`;
  if (document.errors.length > 0) {
    // The library's messages may quote the file, and with it a secret.
    const problems = document.errors.map(({ pos, code }) => ({
      place: placeAt(pos[0]),
      problem: `is not valid YAML (${code.toLowerCase().replaceAll("_", " ")})`,
    }));
    return { settings: [], problems };
  }
  if (document.contents === null) return { settings: [], problems: [] };
  if (!isMap(document.contents)) {
    return { settings: [], problems: [{ place: path, problem: "must be a map from keys to values" }] };
  }
  return mapSettings(document.contents, placeAt);
}

function mapSettings(map: YAMLMap, placeAt: (offset: number) => string): Settings {
  const settings: Setting[] = [];
  const problems: Problem[] = [];
  for (const { key, value } of map.items) {
    const name = scalarText(key) ?? "a key";
    const offset = isScalar(key) ? (key.range?.[0] ?? 0) : 0;
    const place = `${name} (${placeAt(offset)})`;
    const option = configOptions.find((option) => fileKeyOf(option) === name);
    const texts = (isSeq(value) ? value.items : [value]).map(scalarText);
    if (option === undefined) {
      const valid = configOptions.map(fileKeyOf).join(", ");
      problems.push({ place, problem: `is an unknown key; valid keys are ${valid}` });
    } else if (isSeq(value) && !option.several) {
      problems.push({ place, problem: "must be one value, not a list" });
    } else if (texts.every((text) => text !== undefined)) {
      settings.push({ option, texts, place });
    } else {
      problems.push({ place, problem: `must be a value${option.several ? " or a list of values" : ""}` });
    }
  }
  return { settings, problems };
}

/** The source of a scalar, so that `0660` and `5s` have the meaning that they have in a flag. */
function scalarText(node: unknown): string | undefined {
  return isScalar(node) && node.value !== null ? node.source : undefined;
}
