import {
  EventCacheServiceService as Calls,
  type Position,
  RedactionView,
} from "../../gen/splitcache/v1/event_cache_service.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-code.js";
import type { Connection } from "./connection.js";

/** The homeserver's current position. */
export async function askPosition(connection: Connection, homeserver: string): Promise<Position> {
  const redactionView = RedactionView.UNSPECIFIED;
  const request = { homeserver, eventIds: [], redactionView, minPosition: undefined };
  const { position } = await connection.call(Calls.getEvents, request);
  if (position === undefined) throw new CliError(ExitCode.failure, "the sidecar told no position");
  return position;
}
