import type { Command } from "commander";
import {
  EventCacheServiceService as Calls,
  type Position,
  SetOutcome,
} from "../../gen/splitcache/v1/event_cache_service.js";
import { CliError } from "../cli-error.js";
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

interface RejectFlags extends ConnectionFlags, HomeserverFlags, OutputFlags {
  readonly room: string;
  readonly reason?: string;
  readonly undo?: true;
  readonly asOf?: Position;
}

/** `reject`: announces a rejection, or that one was undone. */
export function registerReject(program: Command, io: CliIo): void {
  const command = program
    .command("reject")
    .summary("announce that an event was rejected, or is no longer")
    .description(
      "Announces that an event was rejected, or with --undo that it is no longer. From then on nothing " +
        "from before is served: the entry shows the change (applied), or was dropped and is filled by the " +
        "next put (dropped), or was not there (absent).",
    )
    .argument("<event-id>", "the event")
    .option("--reason <text>", "why it was rejected")
    .option("--undo", "the event is no longer rejected")
    .option("--room <id>", "the event's room, if known", "")
    .option(
      "--as-of <position>",
      "a position from before the change was read (default: the current one)",
      parsePosition,
    );
  addOutputOption(addHomeserverOption(addConnectionOptions(command)));
  addExamples(command, [
    "reject -H example.org '$event' --reason auth_error",
    "reject -H example.org '$event' --undo",
  ]);
  command.action((eventId: string, flags: RejectFlags) =>
    runClient(io, flags, async (connection) => {
      const homeserver = homeserverOf(flags, io);
      const rejected = flags.undo !== true;
      if (!rejected && flags.reason !== undefined) {
        throw new CliError(ExitCode.usage, "--undo takes no --reason");
      }
      const asOf = flags.asOf ?? (await askPosition(connection, homeserver));
      const state = { rejected, rejectedReason: flags.reason ?? "" };
      const request = { homeserver, roomId: flags.room, eventId, ...state, asOf };
      const { outcome, position } = await connection.call(Calls.setRejected, request);
      printChange(io, flags, { outcome: outcomeName(SetOutcome, outcome), position });
      return ExitCode.done;
    }),
  );
}
