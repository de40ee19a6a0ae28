import { service } from "grpc-health-check";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-code.js";
import type { Connection } from "./connection.js";

/** Asks grpc.health.v1 for the status of a service; the empty name is the sidecar as a whole. */
export async function servingStatus(connection: Connection, name: string): Promise<string> {
  const { Check: check } = service;
  if (check === undefined) throw new CliError(ExitCode.failure, "the health service has no Check");
  const reply: unknown = await connection.call(check, { service: name });
  const status = typeof reply === "object" && reply !== null && "status" in reply ? reply.status : undefined;
  return String(status);
}
