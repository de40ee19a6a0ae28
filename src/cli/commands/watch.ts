import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { Position } from "../../gen/splitcache/v1/event_cache_service.js";
import { CliError } from "../cli-error.js";
import { abortScope } from "../client/abort-scope.js";
import {
  addConnectionOptions,
  addExamples,
  addHomeserverOption,
  addOutputOption,
  type ConnectionFlags,
  type HomeserverFlags,
  homeserverOf,
  type OutputFlags,
  runClient,
} from "../client/client-command.js";
import { follow } from "../client/follow.js";
import { ExitCode } from "../exit-code.js";
import type { CliIo } from "../io/cli-io.js";
import { parseDurationMs } from "../io/duration.js";
import { followedJson, followedText } from "../io/followed-text.js";
import { formatPosition, parsePosition } from "../io/position-text.js";

interface WatchFlags extends ConnectionFlags, HomeserverFlags, OutputFlags {
  readonly resumeAfter?: Position;
  readonly subscriber: string;
  readonly once?: true;
  readonly count?: number;
  readonly for?: number;
}

/** `watch`: prints a homeserver's notices as they come. */
export function registerWatch(program: Command, io: CliIo): void {
  const command = program
    .command("watch")
    .summary("follow what changes")
    .description(
      "Follows a homeserver's invalidation log and prints each notice. When the stream breaks it connects " +
        "again and resumes after the last notice that it printed, so none is left out, or a reset says that " +
        "some may be. Ends with exit code 5 when two sidecars that do not know of each other answer at the " +
        "address: an epoch came back after another one.",
    )
    .option(
      "--resume-after <position>",
      "start after this position (default: the current one)",
      parsePosition,
    )
    .option("--count <n>", "stop after this many notices", parseCount)
    .option("--once", "stop after the first notice")
    .option("--for <duration>", "stop after this time", parseDurationMs)
    .option("--subscriber <name>", "this subscriber's name in the sidecar's log", "splitcache-watch");
  addOutputOption(addHomeserverOption(addConnectionOptions(command)));
  addExamples(command, [
    "watch -H example.org",
    "watch -H example.org -o json --for 10m > notices.jsonl",
    "watch -H example.org --once --resume-after 5d41402abc4b2a76b9719d911017c592:41",
  ]);
  command.action((flags: WatchFlags) => {
    const limit = abortScope(io.signal, flags.for);
    return runClient({ ...io, signal: limit.signal }, flags, async (connection) => {
      const countMax = flags.once === true ? 1 : (flags.count ?? Number.POSITIVE_INFINITY);
      if (flags.once === true && flags.count !== undefined) {
        throw new CliError(ExitCode.usage, "--once and --count exclude each other");
      }
      let count = 0;
      let position: Position | undefined;
      const followed = follow(connection, {
        homeserver: homeserverOf(flags, io),
        resumeAfter: flags.resumeAfter,
        subscriber: flags.subscriber,
        random: Math.random,
      });
      for await (const item of followed) {
        if ("position" in item) position = item.position;
        const line = flags.output === "json" ? followedJson(item) : followedText(item);
        if (line !== undefined) (item.kind === "broken" ? io.stderr : io.stdout).write(`${line}\n`);
        if (item.kind === "notice") count += 1;
        if (count >= countMax) break;
      }
      io.stderr.write(`${count} notices; resume after ${formatPosition(position)}\n`);
      return ExitCode.done;
    }).finally(() => limit.end());
  });
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("Expected a positive number.");
  return Number(text);
}
