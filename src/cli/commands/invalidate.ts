import type { Command } from "commander";
import { BATCH_MAX } from "../../core/model/limits.js";
import {
  EventCacheServiceService as Calls,
  type Position,
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
import { ExitCode } from "../exit-code.js";
import type { CliIo } from "../io/cli-io.js";
import { printChange } from "../io/print-change.js";

interface InvalidateFlags extends ConnectionFlags, HomeserverFlags, OutputFlags {
  readonly room: string;
}

/** `invalidate`: announces that events changed in any way. */
export function registerInvalidate(program: Command, io: CliIo): void {
  const command = program
    .command("invalidate")
    .summary("announce that events changed")
    .description("Announces that events changed in any way: their entries are dropped.")
    .argument("<event-id...>", "the events")
    .option("--room <id>", "the room of all of them, if known", "");
  addOutputOption(addHomeserverOption(addConnectionOptions(command)));
  addExamples(command, ["invalidate -H example.org '$one' '$two'"]);
  command.action((all: string[], flags: InvalidateFlags) =>
    runClient(io, flags, async (connection) => {
      const homeserver = homeserverOf(flags, io);
      let position: Position | undefined;
      for (const eventIds of chunks(all, BATCH_MAX)) {
        const request = { homeserver, roomId: flags.room, eventIds };
        ({ position } = await connection.call(Calls.invalidateEvents, request));
      }
      printChange(io, flags, { position });
      return ExitCode.done;
    }),
  );
}
