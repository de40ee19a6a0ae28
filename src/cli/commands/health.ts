import type { Command } from "commander";
import {
  addConnectionOptions,
  addExamples,
  addOutputOption,
  type ConnectionFlags,
  type OutputFlags,
  runClient,
} from "../client/client-command.js";
import { servingStatus } from "../client/serving-status.js";
import { ExitCode } from "../exit-code.js";
import type { CliIo } from "../io/cli-io.js";

interface HealthFlags extends ConnectionFlags, OutputFlags {
  readonly service: string;
}

/** `health`: asks grpc.health.v1; an exec probe. */
export function registerHealth(program: Command, io: CliIo): void {
  const command = program
    .command("health")
    .summary("ask whether the sidecar serves")
    .description(
      "Asks the sidecar's health service. Exit code 0 if it serves, 1 if not, 4 if nothing answers.",
    )
    .option("--service <name>", "the gRPC service to ask about (default: the sidecar as a whole)", "");
  addOutputOption(addConnectionOptions(command));
  addExamples(command, ["health", "health --address unix:/run/splitcache/splitcache.sock --timeout 1s"]);
  command.action((flags: HealthFlags) =>
    runClient(io, flags, async (connection) => {
      const status = await servingStatus(connection, flags.service);
      io.stdout.write(flags.output === "json" ? `${JSON.stringify({ status })}\n` : `${status}\n`);
      return status === "SERVING" ? ExitCode.done : ExitCode.failure;
    }),
  );
}
