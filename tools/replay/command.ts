import { stat } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  addConnectionOptions,
  addOutputOption,
  type ConnectionFlags,
  type OutputFlags,
  runClient,
} from "../../src/cli/client/client-command.js";
import { ExitCode } from "../../src/cli/exit-code.js";
import type { CliIo } from "../../src/cli/io/cli-io.js";
import { terminalText } from "../../src/cli/io/terminal-text.js";
import { readCorpus } from "./corpus.js";
import { progressBar } from "./progress-bar.js";
import { replay } from "./replay.js";
import type { RedactedBodies } from "./reply-check.js";
import { formatReport, reportJson } from "./report-text.js";
import { TraceDatabase } from "./trace-database.js";
import { PASSED_OVER, readTrace } from "./trace-line.js";

/** Not the environment's homeserver: a replay purges what it acts for. */
const DEFAULT_HOMESERVER = "replay.example";
const CONCURRENCY_MAX = 1000;

interface ReplayFlags extends ConnectionFlags, OutputFlags {
  readonly homeserver: string;
  readonly check?: true;
  readonly reads: "get" | "fetch";
  readonly redactedBodies: RedactedBodies;
  readonly concurrency: number;
}

/** Adds `replay`, which drives a sidecar with a recorded trace, to a program. */
export function registerReplay(program: Command, io: CliIo): void {
  const command = program
    .command("replay")
    .summary("drive a sidecar with a recorded trace")
    .description(
      "Drives a sidecar as a recorded homeserver would have: every write with what it owes the cache, every " +
        "read with a refill of what it missed. First purges what the sidecar holds for --homeserver.",
    )
    .argument("<events>", "the recorded events (.jsonl or .jsonl.gz)")
    .argument("<trace>", "what the homeserver did with them (.jsonl or .jsonl.gz)")
    .option("-H, --homeserver <name>", "the homeserver to act as; it is purged", DEFAULT_HOMESERVER)
    .option("--check", "compare every reply with what is stored; exit code 1 if one differs")
    .addOption(
      new Option(
        "--reads <kind>",
        "get: every read; fetch: what a worker's own cache would not have answered",
      )
        .choices(["get", "fetch"])
        .default("get"),
    )
    .addOption(
      new Option("--redacted-bodies <who>", "given: with the writes; made: by the sidecar")
        .choices(["given", "made"])
        .default("given"),
    )
    .option("--concurrency <n>", "reads in flight between two writes", parseConcurrency, 32);
  addOutputOption(addConnectionOptions(command));
  command.addHelpText("after", `\n${EXAMPLE_HELP}\n\n${LINES_HELP}`);
  command.action((eventsPath: string, tracePath: string, flags: ReplayFlags) =>
    runClient(io, flags, async (connection) => {
      const sizes = await Promise.all([stat(eventsPath), stat(tracePath)]);
      const bar = progressBar(io, sizes[0].size + sizes[1].size);
      try {
        const corpus = await readCorpus(eventsPath, bar.advance);
        const lines = readTrace(tracePath, bar.advance);
        const check = flags.check === true;
        const report = await replay(connection, new TraceDatabase(corpus), lines, { ...flags, check });
        bar.stop();
        io.stdout.write(flags.output === "json" ? `${reportJson(report)}\n` : formatReport(report));
        for (const mismatch of report.mismatchesTold)
          io.stderr.write(`mismatch: ${terminalText(mismatch)}\n`);
        return report.mismatches === 0 ? ExitCode.done : ExitCode.failure;
      } finally {
        bar.stop();
      }
    }),
  );
}

const EXAMPLE_HELP = `Example:
  npm run replay -- demo/events.jsonl.gz demo/trace.jsonl.gz --check`;

const LINES_HELP = `What the lines of a trace become:
  persist                   PutEvents, one call a transaction, as_of from before it
  redact                    SetRedaction, if the homeserver honours it and its target is stored
  reject, unreject          SetRejected; InvalidateEvents for the target if it is a redaction
  outlier, censor, expire   InvalidateEvents
  purge_history             InvalidateEvents, new outliers and events no longer redacted included
  purge_room                PurgeRoom
  get (or fetch, --reads)   GetEventsStream, then PutEvents of what missed and is stored; the other of
                            the two is passed over, being a part of it or the whole
  restart                   a new read stream; the sidecar keeps all
Passed over:
${Object.entries(PASSED_OVER)
  .map(([op, reason]) => `  ${op.padEnd(24)}  ${reason}`)
  .join("\n")}`;

function parseConcurrency(text: string): number {
  const concurrency = Number(text);
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > CONCURRENCY_MAX) {
    throw new InvalidArgumentError(`Expected a number from 1 to ${CONCURRENCY_MAX}.`);
  }
  return concurrency;
}
