import { putBatches } from "../../client/events.js";
import {
  type CachedEvent,
  EventCacheServiceService as Calls,
  PutOutcome,
} from "../../gen/splitcache/v1/event_cache_service.js";
import { askPosition } from "../client/calls.js";
import { homeserverCommand } from "../command.js";
import { CliError, ExitCode } from "../exit-code.js";
import { parsed, text } from "../flags.js";
import type { CliIo } from "../io/cli-io.js";
import { outcomeName, parsePosition } from "../io/contract-text.js";
import { EVENT_JSON_HELP, parseEventJson } from "../io/event-json.js";
import { readInputLines, readJsonText } from "../io/read-input.js";
import { formatTable } from "../io/text.js";

/** `put`: stores events. */
export const put = homeserverCommand({
  name: "put",
  summary: "Stores events",
  description:
    "Stores events from JSON lines, or with --event-id one event whose JSON text is the file. Names the " +
    "events that the cache refuses (fenced: they changed after --as-of) and exits with 3.",
  args: { "[file]": "JSON lines, unpacked if the name ends in .gz, or the JSON text; - (default) is stdin." },
  flags: {
    eventId: text("<id>", "Stores one event under this ID; requires --room and --room-version."),
    room: text("<id>", "Gives the event's room ID."),
    roomVersion: text("<version>", "Gives the version of the room."),
    asOf: parsed(
      "<position>",
      "Gives a position that was current before the events were read.",
      parsePosition,
      {
        note: "default: the current one",
      },
    ),
  },
  examples: [
    "put -H example.org events.jsonl.gz",
    "get -H old.example -o json '$one' '$two' | splitcache put -H new.example",
    "put -H example.org --event-id '$one' --room '!room' --room-version 10 event.json",
  ],
  notes: EVENT_JSON_HELP,
  run: async ({ io, args: [file = "-"], flags, connection, homeserver, print }) => {
    // Before the events are read: a change from now on refuses them.
    const asOf = flags.asOf ?? (await askPosition(connection, homeserver));
    const rows: { readonly event_id: string; readonly outcome: string }[] = [];
    for (const events of putBatches(await readEvents(io, file, flags))) {
      const { outcomes } = await connection.call(Calls.putEvents, { homeserver, events, asOf });
      for (const [index, { eventId }] of events.entries()) {
        rows.push({ event_id: eventId, outcome: outcomeName(PutOutcome, outcomes[index]) });
      }
    }
    const refused = rows.filter(({ outcome }) => outcome !== STORED);
    const cells = refused.map(({ event_id, outcome }) => [event_id, outcome]);
    const table = refused.length === 0 ? "" : formatTable(["EVENT", "OUTCOME"], cells, io.columns);
    print(rows, `${rows.length - refused.length} stored, ${refused.length} refused\n${table}`);
    return refused.length === 0 ? ExitCode.done : ExitCode.incomplete;
  },
});

const STORED = outcomeName(PutOutcome, PutOutcome.STORED);

interface OneEvent {
  readonly eventId: string | undefined;
  readonly room: string | undefined;
  readonly roomVersion: string | undefined;
}

async function readEvents(io: CliIo, file: string, one: OneEvent): Promise<CachedEvent[]> {
  if (one.eventId !== undefined) return [await readOneEvent(io, file, one.eventId, one)];
  const events: CachedEvent[] = [];
  for await (const { where, text } of readInputLines(io, file)) events.push(parseEventJson(text, where));
  return events;
}

async function readOneEvent(
  io: CliIo,
  file: string,
  eventId: string,
  { room, roomVersion }: OneEvent,
): Promise<CachedEvent> {
  if (room === undefined || roomVersion === undefined) {
    throw new CliError(ExitCode.usage, "--event-id requires --room and --room-version");
  }
  return {
    eventId,
    roomId: room,
    roomVersion,
    body: await readJsonText(io, file, "the body"),
    rejected: false,
    rejectedReason: "",
    redaction: undefined,
    internalMetadata: Buffer.alloc(0),
  };
}
