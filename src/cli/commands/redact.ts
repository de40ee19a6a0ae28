import { EventCacheServiceService as Calls } from "../../gen/splitcache/v1/event_cache_service.js";
import { askPosition } from "../client/calls.js";
import { homeserverCommand } from "../command.js";
import { ExitCode } from "../exit-code.js";
import { required, text } from "../flags.js";
import { readJsonText } from "../io/read-input.js";
import { asOfFlag, changeResult, OUTCOME_HELP, roomFlag, warnOfIds } from "./change.js";

/** `redact`: announces a redaction. */
export const redact = homeserverCommand({
  name: "redact",
  summary: "Announces that an event was redacted",
  description: `Announces that an event was redacted. ${OUTCOME_HELP} To undo a redaction, use invalidate.`,
  args: { "<event-id>": "The redacted event." },
  flags: {
    by: required("<event-id>", "Names the redaction event."),
    room: roomFlag,
    redactedBodyFile: text("<file>", "Reads the redacted event's JSON text from a file, or - for stdin.", {
      note: "default: the sidecar makes it",
    }),
    asOf: asOfFlag,
  },
  examples: ["redact -H example.org '$event' --by '$redaction'"],
  run: async ({ io, args: [eventId = ""], flags, connection, homeserver, print }) => {
    const { by: redactedBy, room: roomId = "", redactedBodyFile: file } = flags;
    warnOfIds(io, "event", eventId, redactedBy);
    warnOfIds(io, "room", roomId);
    const asOf = flags.asOf ?? (await askPosition(connection, homeserver));
    const redactedBody =
      file === undefined ? Buffer.alloc(0) : await readJsonText(io, file, "the redacted body");
    const request = { homeserver, roomId, eventId, redaction: { redactedBy, redactedBody }, asOf };
    print(...changeResult(await connection.call(Calls.setRedaction, request)));
    return ExitCode.done;
  },
});
