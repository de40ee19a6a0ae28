import { stat } from "node:fs/promises";
import { type Command, InvalidArgumentError } from "commander";
import { addCommand, sidecarCommand } from "../../src/cli/command.js";
import { ExitCode } from "../../src/cli/exit-code.js";
import { choice, onOff, parsed, text } from "../../src/cli/flags.js";
import type { CliIo } from "../../src/cli/io/cli-io.js";
import { terminalText } from "../../src/cli/io/text.js";
import { readCorpus } from "./corpus.js";
import { progressBar } from "./progress-bar.js";
import { replay } from "./replay.js";
import { formatReport, reportFields } from "./report-text.js";
import { TraceDatabase } from "./trace-database.js";
import { IGNORED_OPS, readTrace } from "./trace-line.js";

/** Not the homeserver of the environment: a replay purges the homeserver's cached data. */
const DEFAULT_HOMESERVER = "replay.example";
const CONCURRENCY_MAX = 1000;

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
                            the two is ignored: it repeats the first
  restart                   a new read stream; the sidecar keeps all
Ignored:
${Object.entries(IGNORED_OPS)
  .map(([op, reason]) => `  ${op.padEnd(24)}  ${reason}`)
  .join("\n")}`;

/** `replay` drives a sidecar with a recorded trace. */
const replayCommand = sidecarCommand({
  name: "replay",
  summary: "Replays a recorded trace against a sidecar",
  description:
    "Replays a recorded trace against a sidecar: announces every write, and puts every event that a read " +
    "missed. First purges all cached data of --homeserver.",
  args: {
    "<events>": "The recorded events (.jsonl or .jsonl.gz).",
    "<trace>": "The operations of the homeserver (.jsonl or .jsonl.gz).",
  },
  flags: {
    homeserver: text("<name>", "Names the homeserver to act as; purges its cached data.", {
      short: "-H",
      note: `default: ${DEFAULT_HOMESERVER}`,
    }),
    check: onOff("Compares every reply with the stored events; exits with 1 if one differs."),
    reads: choice(
      "Selects the reads: get replays every read, fetch only reads that missed the worker's own cache.",
      ["get", "fetch"],
    ),
    redactedBodies: choice(
      "Selects redacted bodies: sent with the writes (given), or made by the sidecar (made).",
      ["given", "made"],
    ),
    concurrency: parsed("<n>", "Limits the reads in flight between two writes.", parseConcurrency, {
      note: "default: 32",
    }),
  },
  examples: [],
  notes: [EXAMPLE_HELP, LINES_HELP].join("\n\n"),
  run: async ({ io, args: [eventsPath = "", tracePath = ""], flags, connection, print }) => {
    const sizes = await Promise.all([stat(eventsPath), stat(tracePath)]);
    const bar = progressBar(io, sizes[0].size + sizes[1].size);
    try {
      const corpus = await readCorpus(eventsPath, bar.advance);
      const lines = readTrace(tracePath, bar.advance);
      const { homeserver = DEFAULT_HOMESERVER, concurrency = 32 } = flags;
      const options = { ...flags, homeserver, concurrency };
      const report = await replay(connection, new TraceDatabase(corpus), lines, options);
      bar.stop();
      print([reportFields(report)], formatReport(report));
      for (const mismatch of report.mismatchDescriptions)
        io.stderr.write(`mismatch: ${terminalText(mismatch)}\n`);
      return report.mismatches === 0 ? ExitCode.done : ExitCode.failure;
    } finally {
      bar.stop();
    }
  },
});

/** Adds `replay` to a program. */
export function registerReplay(program: Command, io: CliIo): void {
  addCommand(program, io, replayCommand);
}

function parseConcurrency(text: string): number {
  const concurrency = Number(text);
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > CONCURRENCY_MAX) {
    throw new InvalidArgumentError(`Must be a number from 1 to ${CONCURRENCY_MAX}.`);
  }
  return concurrency;
}
