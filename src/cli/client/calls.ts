import { service as health } from "grpc-health-check";
import {
  EventCacheServiceService as Calls,
  type Position,
  RedactionView,
} from "../../gen/splitcache/v1/event_cache_service.js";
import { CliError, ExitCode } from "../exit-code.js";
import type { SidecarConnection } from "./connection.js";

/** Asks for the homeserver's current position. */
export async function askPosition(connection: SidecarConnection, homeserver: string): Promise<Position> {
  const redactionView = RedactionView.UNSPECIFIED;
  const request = { homeserver, eventIds: [], redactionView, minPosition: undefined };
  const { position } = await connection.call(Calls.getEvents, request);
  if (position === undefined) throw new CliError(ExitCode.failure, "the sidecar's reply has no position");
  return position;
}

/** Asks grpc.health.v1 for the status of a service; the empty name is the sidecar as a whole. */
export async function servingStatus(
  connection: SidecarConnection,
  name: string,
  limitMs?: number,
): Promise<string> {
  const { Check: check } = health;
  if (check === undefined) throw new CliError(ExitCode.failure, "the health service has no Check");
  const reply: unknown = await connection.call(check, { service: name }, limitMs);
  const status = typeof reply === "object" && reply !== null && "status" in reply ? reply.status : undefined;
  return String(status);
}
