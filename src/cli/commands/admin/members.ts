import { AdminServiceService as Calls, type Member } from "../../../gen/splitcache/admin/v1/admin_service.js";
import { adminCommand } from "../../command.js";
import { ExitCode } from "../../exit-code.js";
import { formatTable } from "../../io/text.js";
import { readPages } from "./pages.js";

/** `admin members`: the sidecars that follow the log. */
export const members = adminCommand({
  name: "members",
  summary: "Shows the sidecars that follow the log",
  description:
    "Shows the members of the PostgreSQL log: since when they follow it, whether their lease is live, and " +
    "how many changes they are behind. Takes up to 1.5 s if a lease has expired. Empty with the memory log.",
  flags: {},
  examples: ["admin members", "admin members -o json"],
  run: async ({ connection, print, io }) => {
    const found = await readPages(connection, Calls.listMembers, {}, (page) => page.members);
    const headings = ["MEMBER", "LEASE", "HOMESERVERS", "LAG", "SINCE"];
    print(found.map(toObject), formatTable(headings, found.map(cells), io.columns));
    return ExitCode.done;
  },
});

function toObject({ memberId, self, live, joinTime, homeservers, lag }: Member): object {
  const since = joinTime === undefined ? {} : { joinTime: joinTime.toISOString() };
  return { memberId, self, live, ...since, homeservers, lag: Number(lag) };
}

function cells({ memberId, self, live, joinTime, homeservers, lag }: Member): string[] {
  const name = self ? `${memberId} (this sidecar)` : memberId;
  const since = joinTime?.toISOString() ?? "unknown";
  return [name, live ? "live" : "over", String(homeservers), String(lag), since];
}
