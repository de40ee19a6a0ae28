import { type Command, Option } from "commander";
import { CliError } from "../cli-error.js";
import { abortableDelay } from "../client/abortable-delay.js";
import { addAddressOption, addExamples, type ConnectionFlags, runClient } from "../client/client-command.js";
import type { Connection } from "../client/connection.js";
import { isAnswered, isUnavailable } from "../client/describe-failure.js";
import { servingStatus } from "../client/serving-status.js";
import { ExitCode } from "../exit-code.js";
import type { CliIo } from "../io/cli-io.js";
import { formatDuration, parseDurationMs } from "../io/duration.js";

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
