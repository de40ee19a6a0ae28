import { formatDuration } from "../../../config/duration.js";
import {
  AdminServiceService as Calls,
  type Subscriber,
  SubscriberState,
} from "../../../gen/splitcache/admin/v1/admin_service.js";
import { adminCommand } from "../../command.js";
import { ExitCode } from "../../exit-code.js";
import { text } from "../../flags.js";
import { durationMs, formatPosition, outcomeName } from "../../io/contract-text.js";
import { formatTable } from "../../io/text.js";
import { readPages } from "./pages.js";

/** `admin subscribers`: the Subscribe calls of the sidecar. */
export const subscribers = adminCommand({
  name: "subscribers",
  summary: "Shows the subscribers and how far they are behind",
  description: "Shows the Subscribe calls of the sidecar: their cursor, and the batches that wait for them.",
  flags: { homeserver: text("<name>", "Shows only the subscribers of this homeserver.", { short: "-H" }) },
  examples: ["admin subscribers", "admin subscribers -H example.org -o json"],
  run: async ({ flags, connection, print, io }) => {
    const request = { homeserver: flags.homeserver ?? "" };
    const found = await readPages(connection, Calls.listSubscribers, request, (page) => page.subscribers);
    const headings = ["HOMESERVER", "SUBSCRIBER", "PEER", "AGE", "LAG", "BATCHES", "STATE", "CURSOR"];
    print(found.map(toObject), formatTable(headings, found.map(cells), io.columns));
    return ExitCode.done;
  },
});

function toObject(shown: Subscriber): object {
  const { homeserver, subscriber, peer, age, cursor, head, lag, waitingBatches } = shown;
  return {
    homeserver,
    subscriber,
    peer: peer || "unix",
    ageMs: durationMs(age),
    cursor: formatPosition(cursor),
    head: formatPosition(head),
    lag: Number(lag),
    waitingBatches,
    state: stateOf(shown),
  };
}

function cells(shown: Subscriber): string[] {
  const { homeserver, subscriber, peer, age, lag, waitingBatches, cursor } = shown;
  const counts = [formatDuration(durationMs(age)), String(lag), String(waitingBatches)];
  return [homeserver, subscriber || "-", peer || "unix", ...counts, stateOf(shown), formatPosition(cursor)];
}

function stateOf({ state }: Subscriber): string {
  return outcomeName(SubscriberState, state).replaceAll("_", " ");
}
