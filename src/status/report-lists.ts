import type { ChangeKind } from "../core/model/store.js";
import type { StatusFigures } from "./figures.js";
import { formatBytes, formatCount, formatShare, UNKNOWN } from "./format.js";
import type { LastChange } from "./last-changes.js";
import type { MemberList } from "./members.js";
import type { Section, Table } from "./report-shape.js";
import type { Sample } from "./samples.js";

export const CHANGE_LABELS: Readonly<Record<ChangeKind, string>> = {
  redacted: "Redacted",
  rejected: "Rejected",
  invalidated: "Invalidated",
  roomPurged: "Room purged",
  homeserverPurged: "Homeserver purged",
};

export function lastChangesTable(changes: readonly LastChange[]): Table {
  return {
    headings: ["Last changes, UTC", "Homeserver", "Kind", "In a row"],
    textColumns: 3,
    rows: changes.map(({ timeMs, homeserver, kind, count }) => [
      formatTime(timeMs),
      homeserver,
      CHANGE_LABELS[kind],
      formatCount(count),
    ]),
    note: changes.length === 0 ? "none since the start" : "",
  };
}

export function membersTable({ members, hasMore, isOld }: MemberList): Table {
  return {
    headings: ["Member", "State", "Joined, UTC", "Homeservers", "Largest lag"],
    textColumns: 3,
    rows: members.map(({ id, isSelf, isLive, joinedAtMs, homeservers, lag }) => [
      isSelf ? `${id} (this sidecar)` : id,
      isLive ? "live" : "lease expired",
      joinedAtMs === undefined ? UNKNOWN : formatTime(joinedAtMs),
      formatCount(homeservers),
      formatCount(lag),
    ]),
    note: [
      ...(hasMore ? ["and more: splitcache admin members lists all"] : []),
      ...(isOld ? ["the log does not answer, so this list is not up to date"] : []),
    ].join("; "),
  };
}

function formatTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}

export function homeservers(
  { homeservers, homeserverCount }: StatusFigures,
  samples: readonly Sample[],
): Section {
  return {
    title: "Homeservers",
    figures: [
      {
        label: "Homeservers",
        value: formatCount(homeserverCount),
        note: "in the cache",
        lines: [samples.map(({ homeservers }) => homeservers)],
      },
    ],
    table: {
      headings: [
        "Name",
        "Hit rate",
        "Hits",
        "Misses",
        "Changes",
        "Entries",
        "Bytes",
        "Subscribers",
        "Position",
      ],
      textColumns: 1,
      rows: homeservers.map((shown) => [
        shown.name,
        formatShare(shown.hitRate),
        formatCount(shown.hits),
        formatCount(shown.misses),
        formatCount(shown.changes),
        formatCount(shown.entries),
        formatBytes(shown.bytes),
        formatCount(shown.subscribers),
        shown.position === null ? UNKNOWN : formatCount(shown.position.sequence),
      ]),
      note: moreOf(homeserverCount - homeservers.length, "less busy"),
    },
  };
}

export function subscribers(figures: StatusFigures, samples: readonly Sample[]): Section {
  const { subscribers, subscriberCount, lagMax } = figures;
  return {
    title: "Subscribers",
    figures: [
      {
        label: "Subscribers",
        value: formatCount(subscriberCount),
        note: "open subscriptions",
        lines: [samples.map(({ subscribers }) => subscribers)],
      },
      {
        label: "Largest lag",
        value: formatCount(lagMax),
        note: "changes that a subscriber has not been sent",
        lines: [samples.map(({ lagMax }) => lagMax)],
      },
    ],
    table: {
      headings: ["Homeserver", "Subscriber", "State", "Lag"],
      textColumns: 3,
      rows: subscribers.map(({ homeserver, subscriber, state, lag }) => [
        homeserver,
        subscriber,
        SUBSCRIBER_STATES.get(state) ?? state,
        lag === null ? UNKNOWN : formatCount(lag),
      ]),
      note: moreOf(subscriberCount - subscribers.length, "with no larger lag"),
    },
  };
}

const SUBSCRIBER_STATES: ReadonlyMap<string, string> = new Map([
  ["waitingForChange", "waiting for a change"],
  ["sending", "sending"],
  ["waitingForRoom", "client does not read"],
]);

function moreOf(count: number, which: string): string {
  return count > 0 ? `and ${formatCount(count)} more, ${which}` : "";
}
