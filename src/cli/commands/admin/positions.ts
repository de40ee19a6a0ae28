import {
  AdminServiceService as Calls,
  type MemberPosition,
} from "../../../gen/splitcache/admin/v1/admin_service.js";
import { adminCommand } from "../../command.js";
import { ExitCode } from "../../exit-code.js";
import { text } from "../../flags.js";
import { formatPosition } from "../../io/contract-text.js";
import { formatTable } from "../../io/text.js";
import { readPages } from "./pages.js";

/** `admin positions`: what each member has applied. */
export const positions = adminCommand({
  name: "positions",
  summary: "Shows what each member of the log has applied",
  description:
    "Shows, for each homeserver and member of the PostgreSQL log, the position that the member has applied, " +
    "the head of the log, and the changes between them. Empty with the memory log.",
  flags: {
    homeserver: text("<name>", "Shows only this homeserver.", { short: "-H" }),
    member: text("<id>", "Shows only this member."),
  },
  examples: ["admin positions -H example.org"],
  run: async ({ flags, connection, print, io }) => {
    const request = { homeserver: flags.homeserver ?? "", memberId: flags.member ?? "" };
    const found = await readPages(connection, Calls.listMemberPositions, request, (page) => page.positions);
    const headings = ["HOMESERVER", "MEMBER", "LAG", "APPLIED", "HEAD"];
    print(found.map(toObject), formatTable(headings, found.map(cells), io.columns));
    return ExitCode.done;
  },
});

function toObject({ homeserver, memberId, applied, head, lag }: MemberPosition): object {
  return {
    homeserver,
    memberId,
    applied: formatPosition(applied),
    head: formatPosition(head),
    lag: Number(lag),
  };
}

function cells({ homeserver, memberId, applied, head, lag }: MemberPosition): string[] {
  return [homeserver, memberId, String(lag), formatPosition(applied), formatPosition(head)];
}
