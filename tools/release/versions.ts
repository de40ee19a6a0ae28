/** The version stands in package.json, and a copy of it in files of other formats. */

/** Files by their path in the repository. */
export type Files = ReadonlyMap<string, string>;

interface Place {
  readonly paths: RegExp;
  /** Three groups: what precedes the version, the version, what follows it. */
  readonly pattern: RegExp;
}

const SOURCE = "package.json";
const NPM: Place = {
  paths: /^(package(-lock)?|clients\/node\/package)\.json$/,
  pattern: /("name": "(?:splitcache|@splitcache\/client)",\n\s*"version": ")([^"]*)(")/g,
};
const PLACES: readonly Place[] = [
  NPM,
  {
    paths: /^clients\/(python|synapse)\/pyproject\.toml$/,
    pattern: /(^name = "splitcache-(?:client|synapse)"\nversion = "|"splitcache-client==)([^"]*)(")/gm,
  },
  {
    paths: /^deploy\/helm\/[\w-]+\/Chart\.yaml$/,
    pattern: /(^\s*(?:version|appVersion): "?)([^"\n]*)("?$)/gm,
  },
  // Images and the chart's own labels, also where they are rendered from the chart.
  {
    paths: /^(deploy|docs)\/.*\.(ya?ml|md)$/,
    pattern: /(\bsplitcache[:-]|app\.kubernetes\.io\/version: ")(\d+\.\d+\.\d+)(\b)/g,
  },
];

/** Files that must have the version. */
const REQUIRED = [
  SOURCE,
  "package-lock.json",
  "clients/node/package.json",
  "clients/python/pyproject.toml",
  "clients/synapse/pyproject.toml",
  "deploy/helm/splitcache/Chart.yaml",
];

export const VERSION = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/;

/** Whether a file of this path can have a copy of the version. */
export function mayHaveVersion(path: string): boolean {
  return PLACES.some(({ paths }) => paths.test(path));
}

/** The version of the repository, from package.json. */
export function versionOf(files: Files): string {
  const [version] = versionsIn(SOURCE, files.get(SOURCE) ?? "");
  if (version === undefined || !VERSION.test(version))
    throw new Error(`${SOURCE}: the version must be three numbers, X.Y.Z: ${version}`);
  return version;
}

/** Each place whose version differs from package.json, and each file that has none. */
export function versionErrors(files: Files): string[] {
  const version = versionOf(files);
  const differing = [...files].flatMap(([path, text]) =>
    versionsIn(path, text)
      .filter((found) => found !== version)
      .map((found) => `${path}: the version is ${found}, not ${version} as in ${SOURCE}`),
  );
  const missing = REQUIRED.filter((path) => versionsIn(path, files.get(path) ?? "").length === 0);
  return [...differing, ...missing.map((path) => `${path}: no version was found`)];
}

/** The files that change, with the version in all places. */
export function withVersion(files: Files, version: string): Map<string, string> {
  const changed = new Map<string, string>();
  for (const [path, text] of files) {
    const after = placesOf(path).reduce(
      (before, { pattern }) => before.replace(pattern, `$1${version}$3`),
      text,
    );
    if (after !== text) changed.set(path, after);
  }
  return changed;
}

/** Negative if the first version is older. */
export function compareVersions(first: string, second: string): number {
  const [a, b] = [first, second].map((version) => version.split(".").map(Number));
  const at = a?.findIndex((part, index) => part !== b?.[index]) ?? -1;
  return at === -1 ? 0 : (a?.[at] ?? 0) - (b?.[at] ?? 0);
}

function versionsIn(path: string, text: string): string[] {
  return placesOf(path).flatMap(({ pattern }) =>
    [...text.matchAll(pattern)].map(([, , version = ""]) => version),
  );
}

function placesOf(path: string): Place[] {
  return PLACES.filter(({ paths }) => paths.test(path));
}
