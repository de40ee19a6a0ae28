import { InvalidArgumentError } from "commander";
import { follow } from "../../client/follow.js";
import type { Position } from "../../gen/splitcache/v1/event_cache_service.js";
import { abortScope } from "../client/abort.js";
import { homeserverCommand } from "../command.js";
import { CliError, ExitCode } from "../exit-code.js";
import { duration, onOff, parsed, text } from "../flags.js";
import { formatPosition, parsePosition } from "../io/contract-text.js";
import { followedObject, followedText } from "../io/followed-text.js";

/** `watch`: prints a homeserver's notices as they arrive. */
export const watch = homeserverCommand({
  name: "watch",
  summary: "Follows the changes of a homeserver",
  description:
    "Follows a homeserver's invalidation log and prints each notice. When the stream breaks, connects again " +
    "and resumes after the last notice that it printed; a reset says that notices may be missing. Exits with " +
    "5 if an epoch comes back after another epoch: two separate logs answer at the address.",
  flags: {
    resumeAfter: parsed("<position>", "Starts after this position.", parsePosition, {
      note: "default: the current one",
    }),
    count: parsed("<n>", "Stops after this many notices.", parseCount),
    once: onOff("Stops after the first notice."),
    for: duration("Stops after this time."),
    subscriber: text("<name>", "Names this subscriber in the sidecar's log.", {
      note: "default: splitcache-watch",
    }),
  },
  examples: [
    "watch -H example.org",
    "watch -H example.org -o json --for 10m > notices.jsonl",
    "watch -H example.org --once --resume-after 5d41402abc4b2a76b9719d911017c592:41",
  ],
  run: async ({ io, flags, connection, homeserver, print }) => {
    if (flags.once && flags.count !== undefined) {
      throw new CliError(ExitCode.usage, "--once excludes --count");
    }
    const countMax = flags.once ? 1 : (flags.count ?? Number.POSITIVE_INFINITY);
    const { resumeAfter, subscriber = "splitcache-watch" } = flags;
    const limit = abortScope(connection.signal, flags.for);
    let count = 0;
    let position: Position | undefined;
    const options = { homeserver, resumeAfter, subscriber, random: Math.random, signal: limit.signal };
    try {
      for await (const item of follow(connection.client, options)) {
        if ("position" in item) position = item.position;
        const line = followedText(item, connection.address);
        if (item.kind === "disconnected") io.stderr.write(`${line}\n`);
        else if (line !== undefined) print([followedObject(item)], `${line}\n`);
        if (item.kind === "notice") count += 1;
        if (count >= countMax) break;
      }
    } finally {
      limit.end();
    }
    io.stderr.write(`${count} notices; resume after ${formatPosition(position)}\n`);
    return ExitCode.done;
  },
});

function parseCount(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number from 1 to 999999999.");
}
