import type { Command } from "commander";
import {
  EventCacheServiceService as Calls,
  type Position,
  SetOutcome,
} from "../../gen/splitcache/v1/event_cache_service.js";
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
import { ExitCode } from "../exit-code.js";
import type { CliIo } from "../io/cli-io.js";
import { outcomeName } from "../io/outcome-name.js";
import { parsePosition } from "../io/position-text.js";
import { printChange } from "../io/print-change.js";
import { readJsonText } from "../io/read-json-text.js";

interface RedactFlags extends ConnectionFlags, HomeserverFlags, OutputFlags {
  readonly by: string;
  readonly room: string;
  readonly redactedBodyFile?: string;
  readonly asOf?: Position;
}

/** `redact`: announces a redaction. */
export function registerRedact(program: Command, io: CliIo): void {
  const command = program
    .command("redact")
    .summary("announce that an event was redacted")
    .description(
      "Announces that an event was redacted. From then on nothing from before is served: the entry shows " +
        "the redaction (applied), or was dropped and is filled by the next put (dropped), or was not there " +
        "(absent). To undo a redaction: invalidate.",
    )
    .argument("<event-id>", "the redacted event")
    .requiredOption("--by <event-id>", "the redaction")
    .option("--room <id>", "the event's room, if known", "")
    .option("--redacted-body-file <file>", "the redacted event's JSON text (default: the sidecar makes it)")
    .option(
      "--as-of <position>",
      "a position from before the redaction was read (default: the current one)",
      parsePosition,
    );
  addOutputOption(addHomeserverOption(addConnectionOptions(command)));
  addExamples(command, ["redact -H example.org '$event' --by '$redaction'"]);
  command.action((eventId: string, flags: RedactFlags) =>
    runClient(io, flags, async (connection) => {
      const homeserver = homeserverOf(flags, io);
      const file = flags.redactedBodyFile;
      const asOf = flags.asOf ?? (await askPosition(connection, homeserver));
      const redactedBody =
        file === undefined ? Buffer.alloc(0) : await readJsonText(io, file, "the redacted body");
      const redaction = { redactedBy: flags.by, redactedBody };
      const request = { homeserver, roomId: flags.room, eventId, redaction, asOf };
      const { outcome, position } = await connection.call(Calls.setRedaction, request);
      printChange(io, flags, { outcome: outcomeName(SetOutcome, outcome), position });
      return ExitCode.done;
    }),
  );
}
