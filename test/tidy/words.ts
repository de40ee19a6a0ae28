import type { Tree } from "./tree.js";

/** A word or construction that the text does without. */
export interface Banned {
  readonly pattern: RegExp;
  readonly use: string;
  /** Folders and files that are not clean yet; to be emptied, never to be added to. */
  readonly notYetIn?: readonly string[];
}

/** Where the words count: what a user, an operator or a developer reads. */
const READ =
  /^(README|ARCHITECTURE|CONTRIBUTING|SECURITY|CHANGELOG|docs\/|src\/|proto\/|test\/|tools\/|bench\/)/;
const ITSELF = "test/tidy/";

export const BANNED: readonly Banned[] = [
  { pattern: /\bafresh\b/i, use: "again, new", notYetIn: ["test/protocol/", "test/unit/"] },
  { pattern: /\btroubles?\b/i, use: "error, failure", notYetIn: ["test/integration/"] },
  { pattern: /\bin doubt\b|\bdoubts?\b/i, use: "unverified", notYetIn: ["tools/replay/"] },
  { pattern: /\bbelieved?\b/i, use: "trusted" },
  { pattern: /\bforeign\b/i, use: "auxiliary, other", notYetIn: ["test/attack/", "test/unit/"] },
  { pattern: /\blends? a hand\b/i, use: "help" },
  {
    pattern: /\b(is|are|was) told\b/i,
    use: "receives, is notified",
    notYetIn: [
      "bench/redis-server.ts",
      "src/compose-ports.ts",
      "test/attack/",
      "test/contract/",
      "test/integration/",
      "test/support/",
      "test/unit/",
      "tools/demo/",
      "tools/replay/",
    ],
  },
  { pattern: /\bis well\b|\bwell again\b/i, use: "up, available", notYetIn: ["src/core/", "test/support/"] },
  {
    pattern: /\bone that\b/i,
    use: "the noun",
    notYetIn: [
      "CONTRIBUTING.md",
      "docs/connections.md",
      "src/cli/",
      "src/compose-ports.ts",
      "src/config/",
      "src/core/",
      "src/rpc/",
      "src/telemetry/",
      "src/tier/",
      "test/attack/",
      "test/contract/",
      "test/integration/",
      "test/protocol/",
      "test/support/",
      "test/unit/",
    ],
  },
  {
    pattern: /\bthose (that|of|who)\b/i,
    use: "the noun",
    notYetIn: [
      "bench/synthetic.ts",
      "docs/decisions/013-file-descriptors.md",
      "docs/security.md",
      "proto/splitcache/v1/event_cache_service.proto",
      "src/config/",
      "src/core/",
      "src/log/",
      "src/net/",
      "src/rpc/",
      "src/telemetry/",
      "src/tier/",
      "test/attack/",
      "test/contract/",
      "test/integration/",
      "test/model/",
      "test/protocol/",
      "test/support/",
      "test/unit/",
      "test/vitest.mutation.config.ts",
      "tools/replay/",
    ],
  },
  {
    pattern: /\bthat of\b/i,
    use: "the noun",
    notYetIn: [
      "docs/configuration.md",
      "src/config/",
      "src/log/",
      "src/rpc/",
      "src/telemetry/",
      "test/protocol/",
      "test/unit/",
    ],
  },
  {
    pattern: /\b(it|they|he) who\b|\bwhoever\b/i,
    use: "a client that, a caller that",
    notYetIn: ["src/cli/", "src/config/", "src/telemetry/", "test/integration/", "test/unit/"],
  },
  { pattern: /\bhis (turn|own)\b/i, use: "the caller's", notYetIn: ["src/core/", "test/unit/"] },
  { pattern: /\bsay --\w+ if\b/i, use: "pass --…", notYetIn: ["src/cli/"] },
  { pattern: /\bis of no use\b/i, use: "requires", notYetIn: ["src/config/", "test/attack/", "test/unit/"] },
  { pattern: /\bpassed over\b/i, use: "ignored", notYetIn: ["src/cli/", "test/protocol/", "tools/replay/"] },
  { pattern: /\bas good as\b/i, use: "means, counts as", notYetIn: ["src/cli/", "test/support/"] },
  {
    pattern: /\bmistakes?\b/i,
    use: "error",
    notYetIn: [
      "src/compose-backends.ts",
      "src/config/",
      "test/integration/",
      "test/properties/",
      "test/unit/",
    ],
  },
];

/** Each place of a banned word, as `path:line: word (use …)`. */
export function bannedWords(tree: Tree, banned: readonly Banned[] = BANNED): string[] {
  const found: string[] = [];
  for (const [path, text] of tree) {
    if (!READ.test(path) || path.startsWith(ITSELF)) continue;
    const rules = banned.filter(({ notYetIn = [] }) => !notYetIn.some((start) => path.startsWith(start)));
    for (const [at, line] of text.split("\n").entries()) {
      for (const { pattern, use } of rules) {
        const word = pattern.exec(line)?.[0];
        if (word !== undefined) found.push(`${path}:${at + 1}: ${word} (use ${use})`);
      }
    }
  }
  return found;
}
