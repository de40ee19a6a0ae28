import { addAbortSignal } from "node:stream";
import type { Command } from "commander";
import {
  type CachedEvent,
  EventCacheServiceService as Calls,
  type Position,
  PutOutcome,
} from "../../gen/splitcache/v1/event_cache_service.js";
import { CliError } from "../cli-error.js";
import { askPosition } from "../client/ask-position.js";
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
import { putBatches } from "../client/put-batches.js";
import { ExitCode } from "../exit-code.js";
import type { CliIo } from "../io/cli-io.js";
import { EVENT_JSON_HELP, parseEventJson } from "../io/event-json.js";
import { outcomeName } from "../io/outcome-name.js";
import { parsePosition } from "../io/position-text.js";
import { readJsonText } from "../io/read-json-text.js";
import { readFileLines, readLines } from "../io/read-lines.js";
import { formatTable } from "../io/table.js";

interface PutFlags extends ConnectionFlags, HomeserverFlags, OutputFlags {
  readonly asOf?: Position;
  readonly eventId?: string;
  readonly room?: string;
  readonly roomVersion?: string;
}

/** `put`: stores events. */
export function registerPut(program: Command, io: CliIo): void {
  const command = program
    .command("put")
    .summary("store events")
    .description(
      "Stores events from JSON lines, or one event whose JSON text is the file. Events that the cache " +
        "refuses (changed since --as-of, unverified) are named, and the exit code is 3.",
    )
    .argument(
      "[file]",
      "JSON lines (.gz is unpacked), or with --event-id the event's JSON text; - is stdin",
      "-",
    )
    .option("--event-id <id>", "store one event under this ID; needs --room and --room-version")
    .option("--room <id>", "the event's room")
    .option("--room-version <version>", "the room's version")
    .option(
      "--as-of <position>",
      "a position from before the events were read (default: the current one)",
      parsePosition,
    );
  addOutputOption(addHomeserverOption(addConnectionOptions(command)));
  addExamples(command, [
    "put -H example.org events.jsonl.gz",
    "get -H old.example -o json '$one' '$two' | splitcache put -H new.example",
    "put -H example.org --event-id '$one' --room '!room' --room-version 10 event.json",
  ]).addHelpText("after", `\n${EVENT_JSON_HELP}`);
  command.action((file: string, flags: PutFlags) =>
    runClient(io, flags, async (connection) => {
      const homeserver = homeserverOf(flags, io);
      // Before the events are read: whatever changes from now on refuses them.
      const asOf = flags.asOf ?? (await askPosition(connection, homeserver));
      const put: Put[] = [];
      for (const events of putBatches(await readEvents(io, file, flags))) {
        const { outcomes } = await connection.call(Calls.putEvents, { homeserver, events, asOf });
        for (const [index, { eventId }] of events.entries()) put.push({ eventId, outcome: outcomes[index] });
      }
      return print(io, flags, put);
    }),
  );
}

interface Put {
  readonly eventId: string;
  readonly outcome: PutOutcome | undefined;
}

async function readEvents(io: CliIo, file: string, flags: PutFlags): Promise<CachedEvent[]> {
  if (flags.eventId !== undefined) return [await readOneEvent(io, file, flags.eventId, flags)];
  const events: CachedEvent[] = [];
  const { signal } = io;
  const isStdin = file === "-";
  const lines = isStdin ? readLines(addAbortSignal(signal, io.stdin)) : readFileLines(file, { signal });
  for await (const { number, text } of lines) {
    events.push(parseEventJson(text, `${isStdin ? "stdin" : file}, line ${number}`));
  }
  return events;
}

async function readOneEvent(io: CliIo, file: string, eventId: string, flags: PutFlags): Promise<CachedEvent> {
  if (flags.room === undefined || flags.roomVersion === undefined) {
    throw new CliError(ExitCode.usage, "--event-id needs --room and --room-version");
  }
  return {
    eventId,
    roomId: flags.room,
    roomVersion: flags.roomVersion,
    body: await readJsonText(io, file, "the body"),
    rejected: false,
    rejectedReason: "",
    redaction: undefined,
    internalMetadata: Buffer.alloc(0),
  };
}

function print(io: CliIo, flags: PutFlags, put: readonly Put[]): ExitCode {
  const refused = put.filter(({ outcome }) => outcome !== PutOutcome.STORED);
  if (flags.output === "json") {
    for (const { eventId, outcome } of put) {
      io.stdout.write(
        `${JSON.stringify({ event_id: eventId, outcome: outcomeName(PutOutcome, outcome) })}\n`,
      );
    }
  } else {
    io.stdout.write(`${put.length - refused.length} stored, ${refused.length} refused\n`);
    if (refused.length > 0) {
      const rows = refused.map(({ eventId, outcome }) => [eventId, outcomeName(PutOutcome, outcome)]);
      io.stdout.write(formatTable(["EVENT", "OUTCOME"], rows, io.columns));
    }
  }
  return refused.length === 0 ? ExitCode.done : ExitCode.incomplete;
}
