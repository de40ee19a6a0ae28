import type { Command } from "commander";
import { EventCacheServiceService as Calls } from "../../gen/splitcache/v1/event_cache_service.js";
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
import { printChange } from "../io/print-change.js";

interface PurgeRoomFlags extends ConnectionFlags, HomeserverFlags, OutputFlags {}

/** `purge-room`: drops a room. */
export function registerPurgeRoom(program: Command, io: CliIo): void {
  const command = program
    .command("purge-room")
    .summary("drop a room")
    .description("Drops all that the cache holds of a room for the homeserver.")
    .argument("<room-id>", "the room");
  addOutputOption(addHomeserverOption(addConnectionOptions(command)));
  addExamples(command, ["purge-room -H example.org '!room:example.org'"]);
  command.action((roomId: string, flags: PurgeRoomFlags) =>
    runClient(io, flags, async (connection) => {
      const homeserver = homeserverOf(flags, io);
      printChange(io, flags, await connection.call(Calls.purgeRoom, { homeserver, roomId }));
      return ExitCode.done;
    }),
  );
}
