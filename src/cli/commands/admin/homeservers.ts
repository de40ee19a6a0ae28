import {
  AdminServiceService as Calls,
  type Homeserver,
} from "../../../gen/splitcache/admin/v1/admin_service.js";
import { adminCommand } from "../../command.js";
import { ExitCode } from "../../exit-code.js";
import { text } from "../../flags.js";
import { formatPosition } from "../../io/contract-text.js";
import { formatTable } from "../../io/text.js";
import { readPages } from "./pages.js";

/** `admin homeservers`: what the sidecar holds of each homeserver. */
export const homeservers = adminCommand({
  name: "homeservers",
  summary: "Shows the cached data of each homeserver",
  description:
    "Shows entries, bytes, the protected share of the memory, hits, misses, changes, subscribers, calls that " +
    "quotas refused, and the position of each homeserver. " +
    "-o json has the misses by reason and the changes by kind.",
  flags: { homeserver: text("<name>", "Shows only this homeserver.", { short: "-H" }) },
  examples: ["admin homeservers", "admin homeservers -H example.org -o json"],
  run: async ({ flags, connection, print, io }) => {
    const request = { homeserver: flags.homeserver ?? "" };
    const found = await readPages(connection, Calls.listHomeservers, request, (page) => page.homeservers);
    const headings = [
      "HOMESERVER",
      "ENTRIES",
      "BYTES",
      "SHARE",
      "HITS",
      "MISSES",
      "CHANGES",
      "SUBSCRIBERS",
      "REFUSED",
      "POSITION",
    ];
    print(found.map(toObject), formatTable(headings, found.map(cells), io.columns));
    return ExitCode.done;
  },
});

function toObject(shown: Homeserver): object {
  return {
    homeserver: shown.name,
    position: formatPosition(shown.position),
    entries: Number(shown.entries),
    bytes: Number(shown.bytes),
    hits: Number(shown.hits),
    misses: counts(shown.misses),
    changes: counts(shown.changes),
    subscribers: shown.subscribers,
    logChanges: shown.logChanges,
    memoryBytes: Number(shown.memoryBytes),
    memoryShareBytes: Number(shown.memoryShareBytes),
    refusals: counts(shown.refusals),
  };
}

function cells(shown: Homeserver): string[] {
  const { name, entries, bytes, memoryShareBytes, hits, subscribers } = shown;
  const counted = [sum(shown.misses), sum(shown.changes), subscribers, sum(shown.refusals)];
  return [
    name,
    ...[entries, bytes, memoryShareBytes, hits, ...counted].map(String),
    formatPosition(shown.position),
  ];
}

function counts(given: object | undefined): Record<string, number> {
  return Object.fromEntries(Object.entries(given ?? {}).map(([name, count]) => [name, Number(count)]));
}

function sum(given: object | undefined): number {
  return Object.values(counts(given)).reduce((total, count) => total + count, 0);
}
