import { EventCacheServiceService as Calls } from "../../gen/splitcache/v1/event_cache_service.js";
import { homeserverCommand } from "../command.js";
import { ExitCode } from "../exit-code.js";
import { changeResult, warnOfIds } from "./change.js";

/** `purge-room`: drops all data of a room. */
export const purgeRoom = homeserverCommand({
  name: "purge-room",
  summary: "Drops all cached data of a room",
  description: "Drops all data of a room that the cache holds for the homeserver.",
  args: { "<room-id>": "The room to drop." },
  flags: {},
  examples: ["purge-room -H example.org '!room:example.org'"],
  run: async ({ io, args: [roomId = ""], connection, homeserver, print }) => {
    warnOfIds(io, "room", roomId);
    print(...changeResult(await connection.call(Calls.purgeRoom, { homeserver, roomId })));
    return ExitCode.done;
  },
});
