import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { EventCacheServiceService as Calls } from "../../gen/splitcache/v1/event_cache_service.js";
import type { CliIo } from "../cli-io.js";
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
} from "../client-command.js";
import { ExitCode } from "../exit-code.js";
import { printChange } from "../print-change.js";

interface ReleaseWriterFlags extends ConnectionFlags, HomeserverFlags, OutputFlags {
  readonly token: Buffer;
}

/** `release-writer`: releases a writer that is known to be dead. */
export function registerReleaseWriter(program: Command, io: CliIo): void {
  const command = program
    .command("release-writer")
    .summary("release a writer that is known to be dead")
    .description(
      "Releases the lease of a writer that is known to be dead, so that its homeserver is no longer " +
        "suspended for its sake. Make sure first that no transaction of it can still commit. The sidecar logs " +
        "the token when the lease lapses; while the lease is live, or with another token, nothing happens. " +
        "Without --token: releases only a name under which no lease was granted.",
    )
    .argument("<writer>", "the writer's name")
    .option(
      "--token <hex>",
      "the token of the lapsed lease, as the sidecar logged it",
      parseToken,
      Buffer.alloc(0),
    );
  addOutputOption(addHomeserverOption(addConnectionOptions(command)));
  addExamples(command, ["release-writer -H example.org event_persister-1 --token 0f3a…"]);
  command.action((writer: string, flags: ReleaseWriterFlags) =>
    runClient(io, flags, async (connection) => {
      const homeserver = homeserverOf(flags, io);
      const released = await connection.call(Calls.releaseWriterLease, {
        homeserver,
        writer,
        leaseToken: flags.token,
      });
      const { suspended } = await connection.call(Calls.declareWriters, { homeserver, writers: [] });
      printChange(io, flags, {
        outcome: suspended ? "suspended" : "not_suspended",
        position: released.position,
      });
      return suspended ? ExitCode.failure : ExitCode.done;
    }),
  );
}

function parseToken(text: string): Buffer {
  if (!/^([0-9a-f]{2})+$/i.test(text)) throw new InvalidArgumentError("Expected hexadecimal digits.");
  return Buffer.from(text, "hex");
}
