import type { Tree } from "./tree.js";

/** A word or construction that the text does without. */
export interface Banned {
  readonly pattern: RegExp;
  readonly use: string;
}

/** Where the words count: what a user, an operator or a developer reads. */
const READ =
  /^(README|ARCHITECTURE|CONTRIBUTING|SECURITY|CHANGELOG|docs\/|src\/|proto\/|test\/|tools\/|bench\/)/;
const ITSELF = "test/tidy/";

export const BANNED: readonly Banned[] = [
  { pattern: /\bafresh\b/i, use: "again, new" },
  { pattern: /\btroubles?\b/i, use: "error, failure" },
  { pattern: /\bin doubt\b|\bdoubts?\b/i, use: "unverified" },
  { pattern: /\bbelieved?\b/i, use: "trusted" },
  { pattern: /\bforeign\b/i, use: "auxiliary, other" },
  { pattern: /\blends? a hand\b/i, use: "help" },
  {
    pattern: /\b(is|are|was) told\b/i,
    use: "receives, is notified",
  },
  { pattern: /\bis well\b|\bwell again\b/i, use: "up, available" },
  {
    pattern: /\bone that\b/i,
    use: "the noun",
  },
  {
    pattern: /\bthose (that|of|who)\b/i,
    use: "the noun",
  },
  {
    pattern: /\bthat of\b/i,
    use: "the noun",
  },
  {
    pattern: /\b(it|they|he) who\b|\bwhoever\b/i,
    use: "a client that, a caller that",
  },
  { pattern: /\bhis (turn|own)\b/i, use: "the caller's" },
  { pattern: /\bsay --\w+ if\b/i, use: "pass --…" },
  { pattern: /\bis of no use\b/i, use: "requires" },
  { pattern: /\bpassed over\b/i, use: "ignored" },
  { pattern: /\bas good as\b/i, use: "means, counts as" },
  {
    pattern: /\bmistakes?\b/i,
    use: "error",
  },
];

/** Each place of a banned word, as `path:line: word (use …)`. */
export function bannedWords(tree: Tree, banned: readonly Banned[] = BANNED): string[] {
  const found: string[] = [];
  for (const [path, text] of tree) {
    if (!READ.test(path) || path.startsWith(ITSELF)) continue;
    const present = banned.filter(({ pattern }) => pattern.test(text));
    if (present.length === 0) continue;
    for (const [at, line] of text.split("\n").entries()) {
      for (const { pattern, use } of present) {
        const word = pattern.exec(line)?.[0];
        if (word !== undefined) found.push(`${path}:${at + 1}: ${word} (use ${use})`);
      }
    }
  }
  return found;
}
