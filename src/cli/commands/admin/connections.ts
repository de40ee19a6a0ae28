import {
  AdminServiceService as Calls,
  type Connection,
} from "../../../gen/splitcache/admin/v1/admin_service.js";
import { ExitCode } from "../../exit-code.js";
import { durationMs, formatDuration } from "../../io/duration.js";
import { formatTable } from "../../io/table.js";
import type { AdminCommand } from "./admin-command.js";
import { readPages } from "./pages.js";

/** `admin connections`: the open connections of the sidecar. */
export const connections: AdminCommand = {
  name: "connections",
  summary: "show the open connections",
  description: "Shows the open connections of all listeners of the sidecar, this command's own included.",
  examples: ["admin connections", "admin connections -o json"],
  run: async ({ connection, columns, print }) => {
    const found = await readPages(connection, Calls.listConnections, {}, (page) => page.connections);
    print(found.map(toObject), formatTable(["LISTENER", "PEER", "AGE", "CALLS"], found.map(cells), columns));
    return ExitCode.done;
  },
};

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
