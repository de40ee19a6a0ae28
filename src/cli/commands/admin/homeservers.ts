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
    "Shows entries, bytes, hits, misses, changes, subscribers and the position of each homeserver. " +
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
      "HITS",
      "MISSES",
      "CHANGES",
      "SUBSCRIBERS",
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
  };
}

function cells({ name, entries, bytes, hits, misses, changes, subscribers, position }: Homeserver): string[] {
  const numbers = [entries, bytes, hits, sum(misses), sum(changes), subscribers];
  return [name, ...numbers.map(String), formatPosition(position)];
}

function counts(given: object | undefined): Record<string, number> {
  return Object.fromEntries(Object.entries(given ?? {}).map(([name, count]) => [name, Number(count)]));
}

function sum(given: object | undefined): number {
  return Object.values(counts(given)).reduce((total, count) => total + count, 0);
}
