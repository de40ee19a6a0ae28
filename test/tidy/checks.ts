import { dirname, normalize } from "node:path";
import type { Tree } from "./tree.js";

/** Lines that a file may have. */
export const LINES_MAX = 250;

const CODE = /^(src|tools|test|scripts|bench|clients)\/.*\.(ts|mjs)$/;

/** Files of code that are longer than LINES_MAX. */
export function longFiles(tree: Tree): string[] {
  return [...tree]
    .filter(([path, text]) => CODE.test(path) && lineCount(text) > LINES_MAX)
    .map(([path]) => path);
}

function lineCount(text: string): number {
  return text.split("\n").length - 1;
}

/** Files of src that nothing but tests imports; the program and the client library begin at the first two. */
export function deadFiles(tree: Tree): string[] {
  const imported = new Set(["src/main.ts", "src/client/index.ts"]);
  for (const [path, text] of tree) {
    if (!/^(src|tools|scripts)\/.*\.(ts|mjs)$/.test(path)) continue;
    for (const [, target = ""] of text.matchAll(/(?:from|import)\s*\(?"(\.[^"]+)\.js"/g)) {
      // Scripts import the built program.
      imported.add(`${normalize(`${dirname(path)}/${target}`).replace(/^dist\//, "src/")}.ts`);
    }
  }
  return sources(tree)
    .map(([path]) => path)
    .filter((path) => !imported.has(path));
}

/** The rooms of the PostgreSQL log, from the top down; a room imports from rooms below it. */
const LOG_ROOMS = [
  "background",
  "append",
  "follow",
  "membership",
  "connection",
  "schema",
  "codec",
  "failures",
];
/** The schema is made over a session, whose opening checks the schema. */
const LOG_ROOMS_EXCEPTION = "schema -> connection";

/** Imports in the PostgreSQL log that point up. The folder's own files are above the rooms, but for limits and clock. */
export function upwardLogImports(tree: Tree): string[] {
  const found: string[] = [];
  for (const [path, text] of sources(tree)) {
    const room = /^src\/log\/postgres\/(\w+)\//.exec(path)?.[1];
    if (room === undefined) continue;
    for (const [, target = ""] of text.matchAll(/from "\.\.\/([^"]+)\.js"/g)) {
      const other = target.includes("/") ? target.split("/")[0]! : target;
      const isUp = LOG_ROOMS.includes(other)
        ? LOG_ROOMS.indexOf(other) < LOG_ROOMS.indexOf(room)
        : !["..", "postgres-limits", "clock"].includes(other);
      if (isUp && `${room} -> ${other}` !== LOG_ROOMS_EXCEPTION) found.push(`${path}: ${other}`);
    }
  }
  return found;
}

/** Exported values of src whose name no other file mentions. A type may be part of an exported signature. */
export function deadExports(tree: Tree): string[] {
  const declared = /^export (?:async )?(?:function\*?|const|class) (\w+)/gm;
  const filesWithWord = new Map<string, number>();
  for (const [path, text] of tree) {
    if (!/\.(ts|mjs)$/.test(path)) continue;
    for (const word of new Set(text.match(/\w+/g))) {
      filesWithWord.set(word, (filesWithWord.get(word) ?? 0) + 1);
    }
  }
  return sources(tree).flatMap(([path, text]) =>
    [...text.matchAll(declared)]
      .filter(([, name = ""]) => (filesWithWord.get(name) ?? 0) < 2)
      .map(([, name]) => `${path}: ${name}`),
  );
}

/** Uses of the global `process` outside main.ts and process/. */
export function processUses(tree: Tree): string[] {
  return sources(tree)
    .filter(([path]) => path !== "src/main.ts" && !path.startsWith("src/process/"))
    .filter(([, text]) =>
      /"node:process"|(?<![\w.#"'`/])process\.[a-z]\w+[([.;,) ]/.test(withoutComments(text)),
    )
    .map(([path]) => path);
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
}

function sources(tree: Tree): [string, string][] {
  return [...tree].filter(([path]) => path.startsWith("src/") && path.endsWith(".ts"));
}

/** npm scripts that a document names and that package.json does not have. */
export function unknownScripts(tree: Tree): string[] {
  const { scripts } = JSON.parse(tree.get("package.json") ?? "{}") as { scripts: Record<string, string> };
  return mentions(
    tree,
    /\bnpm run (?:--silent )?([a-z][\w:-]*)/g,
    (script) => !Object.hasOwn(scripts, script),
  );
}

/** Paths of the repository that a document names and that do not exist. */
export function unknownPaths(tree: Tree, exists: (path: string) => boolean): string[] {
  const folders = "src|test|tools|scripts|docs|proto|deploy|clients|examples|bench|demo|third_party";
  const named = new RegExp(`\`((?:${folders})/[\\w./@-]*\\w/?)\``, "g");
  return [
    ...mentions(
      tree,
      named,
      (path, document) => !exists(path) && !exists(normalize(`${dirname(document)}/${path}`)),
    ),
    ...mentions(
      tree,
      /\]\((?!https?:|mailto:)([\w./-]+)(?:#[\w-]*)?\)/g,
      (target, document) => !exists(normalize(`${dirname(document)}/${target}`)),
    ),
  ];
}

function mentions(
  tree: Tree,
  pattern: RegExp,
  isWrong: (mention: string, document: string) => boolean,
): string[] {
  return [...tree]
    .filter(([path]) => path.endsWith(".md") && path !== "CHANGELOG.md")
    .flatMap(([path, text]) =>
      [...text.matchAll(pattern)]
        .filter(([, mention = ""]) => isWrong(mention, path))
        .map(([, mention]) => `${path}: ${mention}`),
    );
}

/** Files that name the host of a package registry: which one is used is a setting of the machine. */
export function registryHosts(tree: Tree): string[] {
  const hosts =
    /\b(registry\.npm\w*|(?:npmjs|pypi|pythonhosted|crates|rubygems)\.(?:org|com|io)|(?:proxy|sum)\.golang)\b/;
  return [...tree].filter(([, text]) => hosts.test(text)).map(([path]) => path);
}
