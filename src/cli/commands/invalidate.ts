import { chunks } from "../../client/events.js";
import { BATCH_MAX } from "../../core/model/limits.js";
import {
  EventCacheServiceService as Calls,
  type Position,
} from "../../gen/splitcache/v1/event_cache_service.js";
import { homeserverCommand } from "../command.js";
import { ExitCode } from "../exit-code.js";
import { changeResult, roomFlag, warnOfIds } from "./change.js";

/** `invalidate`: announces that events changed in any way. */
export const invalidate = homeserverCommand({
  name: "invalidate",
  summary: "Announces that events changed",
  description: "Announces that events changed in any way. The cache drops their entries.",
  args: { "<event-id...>": "The events that changed." },
  flags: { room: roomFlag },
  examples: ["invalidate -H example.org '$one' '$two'"],
  run: async ({ io, args, flags: { room = "" }, connection, homeserver, print }) => {
    warnOfIds(io, "event", ...args);
    warnOfIds(io, "room", room);
    let position: Position | undefined;
    for (const eventIds of chunks(args, BATCH_MAX)) {
      const request = { homeserver, roomId: room, eventIds };
      ({ position } = await connection.call(Calls.invalidateEvents, request));
    }
    print(...changeResult({ position }));
    return ExitCode.done;
  },
});
