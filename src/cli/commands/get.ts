import type { Command } from "commander";
import { Option } from "commander";
import { BATCH_MAX } from "../../core/model/limits.js";
import {
  type CachedEvent,
  EventCacheServiceService as Calls,
  type Position,
  RedactionView,
} from "../../gen/splitcache/v1/event_cache_service.js";
import { chunks } from "../client/chunks.js";
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
import type { Connection } from "../client/connection.js";
import { ExitCode } from "../exit-code.js";
import type { CliIo } from "../io/cli-io.js";
import { EVENT_JSON_HELP, formatEventJson } from "../io/event-json.js";
import { formatPosition } from "../io/position-text.js";
import { formatTable } from "../io/table.js";
import { terminalText } from "../io/terminal-text.js";

interface GetFlags extends ConnectionFlags, HomeserverFlags, OutputFlags {
  readonly view: "redacted" | "original";
}

/** `get`: what the cache holds of some events. */
export function registerGet(program: Command, io: CliIo): void {
  const command = program
    .command("get")
    .summary("read events")
    .description(
      "Reads events as the homeserver would. Missing ones are named on stderr: a miss says only " +
        "that the cache does not hold the event, never why. Without IDs: prints the current position.",
    )
    .argument("[event-id...]", "the events to read")
    .addOption(
      new Option("--view <view>", "what to show of a redacted event")
        .choices(["redacted", "original"])
        .default("redacted"),
    );
  addOutputOption(addHomeserverOption(addConnectionOptions(command)));
  addExamples(command, [
    "get -H example.org '$event:example.org'",
    "get -H example.org -o json '$one' '$two' > events.jsonl",
    "get -H example.org",
  ]).addHelpText("after", `\n${EVENT_JSON_HELP}`);
  command.action((eventIds: string[], flags: GetFlags) =>
    runClient(io, flags, async (connection) => {
      const homeserver = homeserverOf(flags, io);
      const redactionView = flags.view === "original" ? RedactionView.ORIGINAL : RedactionView.REDACTED;
      const found = await readEvents(connection, homeserver, eventIds, redactionView);
      print(io, flags, eventIds, found);
      return found.missing.length === 0 ? ExitCode.done : ExitCode.incomplete;
    }),
  );
}

interface Found {
  readonly events: readonly CachedEvent[];
  readonly missing: readonly string[];
  readonly position: Position | undefined;
}

/** Reads any number of events: in chunks, and again what did not fit into a reply. */
async function readEvents(
  connection: Connection,
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

function print(io: CliIo, flags: GetFlags, eventIds: readonly string[], found: Found): void {
  const position = formatPosition(found.position);
  if (eventIds.length === 0) {
    io.stdout.write(flags.output === "json" ? `${JSON.stringify({ position })}\n` : `${position}\n`);
    return;
  }
  if (flags.output === "json") {
    for (const event of found.events) io.stdout.write(`${formatEventJson(event)}\n`);
  } else if (found.events.length > 0) {
    const headings = ["EVENT", "ROOM", "VERSION", "STATE", "BYTES", "BODY"];
    io.stdout.write(formatTable(headings, found.events.map(cells), io.columns));
  }
  for (const eventId of found.missing) io.stderr.write(`missing: ${terminalText(eventId)}\n`);
}

function cells(event: CachedEvent): string[] {
  const { eventId, roomId, roomVersion, body } = event;
  return [eventId, roomId, roomVersion, stateOf(event), String(body.length), Buffer.from(body).toString()];
}

function stateOf(event: CachedEvent): string {
  const states: string[] = [];
  if (event.rejected) states.push(`rejected (${event.rejectedReason || "no reason given"})`);
  if (event.redaction !== undefined) states.push(`redacted by ${event.redaction.redactedBy}`);
  return states.join(", ") || "-";
}
