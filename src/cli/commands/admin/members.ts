import { AdminServiceService as Calls, type Member } from "../../../gen/splitcache/admin/v1/admin_service.js";
import { ExitCode } from "../../exit-code.js";
import { formatTable } from "../../io/table.js";
import type { AdminCommand } from "./admin-command.js";
import { readPages } from "./pages.js";

/** `admin members`: the sidecars that follow the log. */
export const members: AdminCommand = {
  name: "members",
  summary: "show the sidecars that follow the log",
  description:
    "Shows the members of the PostgreSQL log: since when they follow it, whether their lease is live, and " +
    "how many changes they are behind. Takes up to 1.5 s if a lease is over. Empty with the memory log.",
  examples: ["admin members", "admin members -o json"],
  run: async ({ connection, columns, print }) => {
    const found = await readPages(connection, Calls.listMembers, {}, (page) => page.members);
    const headings = ["MEMBER", "LEASE", "HOMESERVERS", "LAG", "SINCE"];
    print(found.map(toObject), formatTable(headings, found.map(cells), columns));
    return ExitCode.done;
  },
};

function toObject({ memberId, self, live, joinTime, homeservers, lag }: Member): object {
  const since = joinTime === undefined ? {} : { joinTime: joinTime.toISOString() };
  return { memberId, self, live, ...since, homeservers, lag: Number(lag) };
}

function cells({ memberId, self, live, joinTime, homeservers, lag }: Member): string[] {
  const name = self ? `${memberId} (this sidecar)` : memberId;
  const since = joinTime?.toISOString() ?? "unknown";
  return [name, live ? "live" : "over", String(homeservers), String(lag), since];
}
