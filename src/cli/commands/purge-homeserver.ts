import { EventCacheServiceService as Calls } from "../../gen/splitcache/v1/event_cache_service.js";
import { homeserverCommand } from "../command.js";
import { CliError, ExitCode } from "../exit-code.js";
import { onOff } from "../flags.js";
import { changeResult } from "./change.js";

/** `purge-homeserver`: drops all data of a homeserver. */
export const purgeHomeserver = homeserverCommand({
  name: "purge-homeserver",
  summary: "Drops all cached data of a homeserver",
  description: "Drops all cached data of the homeserver. The next read of each event goes to its database.",
  flags: {
    newEpoch: onOff("Starts a new epoch, which resets every subscriber."),
    yes: onOff("Confirms the command; required."),
  },
  examples: ["purge-homeserver -H example.org --yes"],
  run: async ({ flags: { newEpoch, yes }, connection, homeserver, print }) => {
    if (!yes) {
      const problem = `this drops all cached data of ${homeserver}; pass --yes to confirm`;
      throw new CliError(ExitCode.usage, problem);
    }
    print(...changeResult(await connection.call(Calls.purgeHomeserver, { homeserver, newEpoch })));
    return ExitCode.done;
  },
});
