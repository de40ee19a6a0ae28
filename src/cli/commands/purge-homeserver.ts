import type { Command } from "commander";
import { EventCacheServiceService as Calls } from "../../gen/splitcache/v1/event_cache_service.js";
import { CliError } from "../cli-error.js";
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

interface PurgeHomeserverFlags extends ConnectionFlags, HomeserverFlags, OutputFlags {
  readonly yes?: true;
  readonly newEpoch?: true;
}

/** `purge-homeserver`: drops everything of a homeserver. */
export function registerPurgeHomeserver(program: Command, io: CliIo): void {
  const command = program
    .command("purge-homeserver")
    .summary("drop everything of a homeserver")
    .description("Drops all that the cache holds for the homeserver: every next read goes to its database.")
    .option("--new-epoch", "starts a new epoch: every subscriber is reset")
    .option("--yes", "required: it is meant");
  addOutputOption(addHomeserverOption(addConnectionOptions(command)));
  addExamples(command, ["purge-homeserver -H example.org --yes"]);
  command.action((flags: PurgeHomeserverFlags) =>
    runClient(io, flags, async (connection) => {
      const homeserver = homeserverOf(flags, io);
      if (flags.yes !== true) {
        throw new CliError(
          ExitCode.usage,
          `this drops everything of ${homeserver}: say --yes if it is meant`,
        );
      }
      const request = { homeserver, newEpoch: flags.newEpoch === true };
      printChange(io, flags, await connection.call(Calls.purgeHomeserver, request));
      return ExitCode.done;
    }),
  );
}
