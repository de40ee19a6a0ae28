import { EventCacheServiceService as Calls } from "../../gen/splitcache/v1/event_cache_service.js";
import { askPosition } from "../client/calls.js";
import { homeserverCommand } from "../command.js";
import { CliError, ExitCode } from "../exit-code.js";
import { onOff, text } from "../flags.js";
import { asOfFlag, changeResult, OUTCOME_HELP, roomFlag, warnOfIds } from "./change.js";

/** `reject`: announces a rejection, or that a rejection was undone. */
export const reject = homeserverCommand({
  name: "reject",
  summary: "Announces that an event was rejected, or is no longer rejected",
  description: `Announces that an event was rejected, or with --undo that it is no longer rejected. ${OUTCOME_HELP}`,
  args: { "<event-id>": "The event." },
  flags: {
    reason: text("<text>", "Says why the event was rejected."),
    undo: onOff("Announces that the event is no longer rejected."),
    room: roomFlag,
    asOf: asOfFlag,
  },
  examples: ["reject -H example.org '$event' --reason auth_error", "reject -H example.org '$event' --undo"],
  run: async ({ io, args: [eventId = ""], flags, connection, homeserver, print }) => {
    const { undo, reason, room: roomId = "" } = flags;
    if (undo && reason !== undefined) throw new CliError(ExitCode.usage, "--undo excludes --reason");
    warnOfIds(io, "event", eventId);
    warnOfIds(io, "room", roomId);
    const asOf = flags.asOf ?? (await askPosition(connection, homeserver));
    const state = { rejected: !undo, rejectedReason: reason ?? "" };
    const request = { homeserver, roomId, eventId, ...state, asOf };
    print(...changeResult(await connection.call(Calls.setRejected, request)));
    return ExitCode.done;
  },
});
