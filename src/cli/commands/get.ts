import { chunks } from "../../client/events.js";
import { BATCH_MAX } from "../../core/model/limits.js";
import {
  type CachedEvent,
  EventCacheServiceService as Calls,
  type Position,
  RedactionView,
} from "../../gen/splitcache/v1/event_cache_service.js";
import type { SidecarConnection } from "../client/connection.js";
import { homeserverCommand } from "../command.js";
import { ExitCode } from "../exit-code.js";
import { choice } from "../flags.js";
import { formatPosition } from "../io/contract-text.js";
import { EVENT_JSON_HELP, eventFields } from "../io/event-json.js";
import { formatTable, terminalText } from "../io/text.js";

/** `get`: what the cache holds of some events. */
export const get = homeserverCommand({
  name: "get",
  summary: "Reads events",
  description:
    "Reads events as the homeserver would. Names missing events on stderr and exits with 3. A missing event " +
    "is not in the cache; the reason is not known. Without event IDs, prints the current position.",
  args: { "[event-id...]": "The events to read." },
  flags: { view: choice("Selects the body of a redacted event.", ["redacted", "original"]) },
  examples: [
    "get -H example.org '$event:example.org'",
    "get -H example.org -o json '$one' '$two' > events.jsonl",
    "get -H example.org",
  ],
  notes: EVENT_JSON_HELP,
  run: async ({ io, args: eventIds, flags, connection, homeserver, print }) => {
    const redactionView = flags.view === "original" ? RedactionView.ORIGINAL : RedactionView.REDACTED;
    const found = await readEvents(connection, homeserver, eventIds, redactionView);
    if (eventIds.length === 0) {
      const position = formatPosition(found.position);
      print([{ position }], `${position}\n`);
      return ExitCode.done;
    }
    print(found.events.map(eventFields), tableOf(found.events, io.columns));
    for (const eventId of found.missing) io.stderr.write(`missing: ${terminalText(eventId)}\n`);
    return found.missing.length === 0 ? ExitCode.done : ExitCode.incomplete;
  },
});

interface Found {
  readonly events: readonly CachedEvent[];
  readonly missing: readonly string[];
  readonly position: Position | undefined;
}

/** Reads any number of events, in chunks. Asks again for the events that did not fit into a reply. */
async function readEvents(
  connection: SidecarConnection,
  homeserver: string,
  eventIds: readonly string[],
  redactionView: RedactionView,
): Promise<Found> {
  const events: CachedEvent[] = [];
  const missing: string[] = [];
  let position: Position | undefined;
  const queue = eventIds.length === 0 ? [[]] : chunks(eventIds, BATCH_MAX);
  for (let ids = queue.shift(); ids !== undefined; ids = queue.shift()) {
    const request = { homeserver, eventIds: ids, redactionView, minPosition: undefined };
    const reply = await connection.call(Calls.getEvents, request);
    events.push(...reply.events);
    missing.push(...reply.missingEventIds);
    position ??= reply.position;
    if (reply.truncatedEventIds.length > 0) queue.unshift(reply.truncatedEventIds);
  }
  return { events, missing, position };
}

function tableOf(events: readonly CachedEvent[], columns: number | undefined): string {
  if (events.length === 0) return "";
  const rows = events.map((event) => {
    const { eventId, roomId, roomVersion, body } = event;
    return [eventId, roomId, roomVersion, stateOf(event), String(body.length), Buffer.from(body).toString()];
  });
  return formatTable(["EVENT", "ROOM", "VERSION", "STATE", "BYTES", "BODY"], rows, columns);
}

function stateOf(event: CachedEvent): string {
  const states: string[] = [];
  if (event.rejected) states.push(`rejected (${event.rejectedReason || "no reason given"})`);
  if (event.redaction !== undefined) states.push(`redacted by ${event.redaction.redactedBy}`);
  return states.join(", ") || "-";
}
