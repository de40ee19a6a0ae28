import { type Command, Option } from "commander";
import { abortableDelay } from "../abortable-delay.js";
import { CliError } from "../cli-error.js";
import type { CliIo } from "../cli-io.js";
import { addAddressOption, addExamples, type ConnectionFlags, runClient } from "../client-command.js";
import type { Connection } from "../connection.js";
import { isAnswered, isUnavailable } from "../describe-failure.js";
import { formatDuration, parseDurationMs } from "../duration.js";
import { ExitCode } from "../exit-code.js";
import { servingStatus } from "../serving-status.js";

const ATTEMPT_INTERVAL_MS = 100;

/** `wait`: until the sidecar serves. */
export function registerWait(program: Command, io: CliIo): void {
  const command = program
    .command("wait")
    .summary("wait until the sidecar serves")
    .description("Waits until the sidecar serves; exit code 4 if it does not in time.")
    .addOption(
      new Option("--timeout <duration>", "how long to wait")
        .argParser(parseDurationMs)
        .default(30_000, "30s"),
    );
  addAddressOption(command);
  addExamples(command, ["wait --timeout 1m && splitcache put -H example.org events.jsonl"]);
  command.action((flags: ConnectionFlags) =>
    runClient(io, flags, async (connection) => {
      await untilServing(connection, flags.timeout);
      return ExitCode.done;
    }),
  );
}

async function untilServing(connection: Connection, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!connection.signal.aborted) {
    const status = await servingStatus(connection, "").catch((failure: unknown) => {
      if (!isUnavailable(failure)) throw failure;
      return isAnswered(failure) ? "unavailable" : "not there";
    });
    if (status === "SERVING") return;
    if (performance.now() >= deadline) {
      const waited = formatDuration(timeoutMs);
      throw new CliError(ExitCode.unavailable, `${connection.address} is ${status} after ${waited}`);
    }
    await abortableDelay(ATTEMPT_INTERVAL_MS, connection.signal);
  }
  throw new CliError(ExitCode.interrupted, "interrupted");
}
