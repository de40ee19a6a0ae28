import { isMap, isScalar, isSeq, LineCounter, parseDocument, type YAMLMap } from "yaml";
import { listItems } from "./list-items.js";
import { type ConfigOption, configOptions, fileKeyOf, variableOf } from "./options.js";

/** One option as one source gives it: still text, with the place that a mistake is reported for. */
export interface Setting {
  readonly option: ConfigOption;
  readonly texts: readonly string[];
  readonly place: string;
}

/** Something that the user must mend, and where. */
export interface Mistake {
  readonly place: string;
  readonly problem: string;
}

/** What one source gives. */
export interface Settings {
  readonly settings: readonly Setting[];
  readonly mistakes: readonly Mistake[];
}

/** The configuration file, or why it cannot be read. */
export type ConfigFile =
  | { readonly path: string; readonly text: string }
  | { readonly path: string; readonly problem: string };

/** The arguments of the command line. */
export interface GivenFlags {
  /** The texts given for each flag, by its name without dashes. */
  readonly texts: ReadonlyMap<string, readonly string[]>;
  /** The arguments that are no known flag or its value. */
  readonly unknown: readonly string[];
}

const PREFIX = "SPLITCACHE_";
/** Variables of this program that are not options of `serve`. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  "SPLITCACHE_CONFIG",
  "SPLITCACHE_ADDRESS",
  "SPLITCACHE_ADMIN_ADDRESS",
  "SPLITCACHE_CLIENT_HOMESERVER",
]);
/** What Kubernetes gives to every pod beside a Service called splitcache, or splitcache-redis. */
const SERVICE_LINK = /^SPLITCACHE_(.+_)?(SERVICE_HOST|(SERVICE_)?PORT(_.*)?)$/;

/** What stands for options that no source gives. */
export function defaultSettings(memory: string): Settings {
  const settings = configOptions.map((option) => ({
    option,
    texts: option.key === "memoryBytes" ? [memory] : option.defaults,
    place: "default",
  }));
  return { settings, mistakes: [] };
}

/** Reads flags. */
export function flagSettings({ texts, unknown }: GivenFlags): Settings {
  const settings = configOptions.flatMap((option) => {
    const given = texts.get(option.name);
    return given === undefined ? [] : [{ option, texts: given, place: `--${option.name}` }];
  });
  // What follows an unknown flag may be its value, so that one mistake is not reported as two.
  const mistaken = unknown.filter((text, at) => text.startsWith("-") || !unknown[at - 1]?.startsWith("-"));
  const mistakes = mistaken.map((text) =>
    text.startsWith("-")
      ? { place: text.split("=", 1)[0] ?? text, problem: "is not a known flag; see splitcache serve --help" }
      : // It may be a password that lost its flag.
        { place: "an argument that follows no flag", problem: "is not expected" },
  );
  return { settings, mistakes };
}

/** Reads SPLITCACHE_* variables; commas separate the values of a list. An empty variable counts as not set. */
export function environmentSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const settings: Setting[] = [];
  const mistakes: Mistake[] = [];
  for (const [place, text = ""] of Object.entries(environment)) {
    if (!place.startsWith(PREFIX) || isForeign(place) || text === "") continue;
    const option = configOptions.find((option) => variableOf(option) === place);
    if (option === undefined) {
      mistakes.push({
        place,
        problem: `is not known; known are ${configOptions.map(variableOf).join(", ")}`,
      });
    } else {
      settings.push({
        option,
        texts: option.several ? listItems(text) : [text],
        place,
      });
    }
  }
  return { settings, mistakes };
}

function isForeign(variable: string): boolean {
  return OTHER_VARIABLES.has(variable) || SERVICE_LINK.test(variable);
}

/** Reads a YAML file: a map from keys to values, or to lists of values. */
export function fileSettings(file: ConfigFile): Settings {
  const { path } = file;
  if ("problem" in file) return { settings: [], mistakes: [{ place: path, problem: file.problem }] };
  const lines = new LineCounter();
  const document = parseDocument(file.text, { lineCounter: lines, prettyErrors: false });
  const placeAt = (offset: number) => `${path}, line ${lines.linePos(offset).line}`;
  if (document.errors.length > 0) {
    // The library's messages may quote the file, and so a secret.
    const mistakes = document.errors.map(({ pos, code }) => ({
      place: placeAt(pos[0]),
      problem: `is not valid YAML (${code.toLowerCase().replaceAll("_", " ")})`,
    }));
    return { settings: [], mistakes };
  }
  if (document.contents === null) return { settings: [], mistakes: [] };
  if (!isMap(document.contents)) {
    return { settings: [], mistakes: [{ place: path, problem: "must be a map from keys to values" }] };
  }
  return mapSettings(document.contents, placeAt);
}

function mapSettings(map: YAMLMap, placeAt: (offset: number) => string): Settings {
  const settings: Setting[] = [];
  const mistakes: Mistake[] = [];
  for (const { key, value } of map.items) {
    const name = scalarText(key) ?? "a key";
    const offset = isScalar(key) ? (key.range?.[0] ?? 0) : 0;
    const place = `${name} (${placeAt(offset)})`;
    const option = configOptions.find((option) => fileKeyOf(option) === name);
    const texts = (isSeq(value) ? value.items : [value]).map(scalarText);
    if (option === undefined) {
      mistakes.push({ place, problem: `is not known; known are ${configOptions.map(fileKeyOf).join(", ")}` });
    } else if (isSeq(value) && !option.several) {
      mistakes.push({ place, problem: "must be one value, not a list" });
    } else if (texts.every((text) => text !== undefined)) {
      settings.push({ option, texts, place });
    } else {
      mistakes.push({ place, problem: `must be a value${option.several ? " or a list of values" : ""}` });
    }
  }
  return { settings, mistakes };
}

/** A scalar as it is written, so that `0660` and `5s` read as they do in a flag. */
function scalarText(node: unknown): string | undefined {
  return isScalar(node) && node.value !== null ? node.source : undefined;
}
