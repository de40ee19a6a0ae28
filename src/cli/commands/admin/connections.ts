import { formatDuration } from "../../../config/duration.js";
import {
  AdminServiceService as Calls,
  type Connection,
} from "../../../gen/splitcache/admin/v1/admin_service.js";
import { adminCommand } from "../../command.js";
import { ExitCode } from "../../exit-code.js";
import { durationMs } from "../../io/contract-text.js";
import { formatTable } from "../../io/text.js";
import { readPages } from "./pages.js";

/** `admin connections`: the open connections of the sidecar. */
export const connections = adminCommand({
  name: "connections",
  summary: "Shows the open connections",
  description:
    "Shows the open connections of all listeners of the sidecar, including the connection of this command.",
  flags: {},
  examples: ["admin connections", "admin connections -o json"],
  run: async ({ connection, print, io }) => {
    const found = await readPages(connection, Calls.listConnections, {}, (page) => page.connections);
    print(
      found.map(toObject),
      formatTable(["LISTENER", "PEER", "AGE", "CALLS"], found.map(cells), io.columns),
    );
    return ExitCode.done;
  },
});

function toObject(shown: Connection): object {
  return { listener: shown.listener, peer: peerOf(shown), ageMs: durationMs(shown.age), calls: shown.calls };
}

function cells(shown: Connection): string[] {
  return [shown.listener, peerOf(shown), formatDuration(durationMs(shown.age)), String(shown.calls)];
}

function peerOf({ peer, peerPort }: Connection): string {
  if (peer === "") return "unix";
  return peer.includes(":") ? `[${peer}]:${peerPort}` : `${peer}:${peerPort}`;
}
