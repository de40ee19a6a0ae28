import { CHANGE_KINDS } from "./activity.js";
import { hitRate, type StatusFigures, type Use } from "./figures.js";
import { formatBytes, formatCount, formatRate, formatSeconds, formatShare, formatUptime } from "./format.js";
import { quantile } from "./histogram.js";
import type { MemberList } from "./members.js";
import { CHANGE_LABELS, homeservers, lastChangesTable, membersTable, subscribers } from "./report-lists.js";
import type { Figure, Report, Section } from "./report-shape.js";
import type { Snapshot } from "./sampler.js";
import type { Sample } from "./samples.js";

export function reportOf({ figures, samples, bounds }: Snapshot, members: MemberList): Report {
  const { version, nodeVersion, uptimeSeconds, isReady, log } = figures;
  const state = isReady ? "serving" : "not serving: drained or stopping";
  return {
    title: `splitcache ${version} on Node.js ${nodeVersion}, up ${formatUptime(uptimeSeconds)}, ${state}`,
    state: isReady && log.isUp ? "ok" : "bad",
    sections: [
      lookups(figures, samples, bounds),
      memory(figures, samples),
      logAndTier(figures, samples, members),
      changes(figures, samples),
      homeservers(figures, samples),
      subscribers(figures, samples),
    ],
  };
}

function lookups(figures: StatusFigures, samples: readonly Sample[], bounds: readonly number[]): Section {
  const { lastMinute: live, total, callsInFlight, callsInFlightMax, readStreams } = figures;
  const perSecond = (count: number) => formatRate(live.seconds === 0 ? 0 : count / live.seconds);
  const quantiles = (share: number) =>
    samples.map(({ latencyCounts: counts }) => quantile({ bounds, counts }, share) ?? null);
  return {
    title: "Reads and calls, last minute",
    figures: [
      {
        label: "Hit rate",
        value: formatShare(live.hitRate),
        note: `${formatCount(live.hits)} hits, ${formatCount(live.misses)} misses; since the start ${formatShare(hitRate(total))}`,
        chartMax: 1,
        lines: [samples.map(({ activity }) => hitRate(activity))],
      },
      {
        label: "Latency, p50 and p99",
        value: `${formatSeconds(live.p50Seconds)}, ${formatSeconds(live.p99Seconds)}`,
        note: "of unary calls and requests on read streams, until their reply has left",
        lines: [quantiles(0.5), quantiles(0.99)],
      },
      {
        label: "Calls",
        value: perSecond(live.calls),
        note: `${formatCount(live.calls)} calls and requests on read streams, ${formatCount(live.failedCalls)} failed; ${formatCount(callsInFlight)} of at most ${formatCount(callsInFlightMax)} in flight; ${formatCount(readStreams)} read streams`,
        lines: [rates(samples, ({ calls }) => calls)],
      },
    ],
  };
}

function memory({ memory }: StatusFigures, samples: readonly Sample[]): Section {
  const figure = (label: string, use: Use, lines: number[], note = ""): Figure => ({
    label,
    value: formatBytes(use.bytes),
    note: `${formatShare(use.bytesMax === 0 ? null : use.bytes / use.bytesMax)} of ${formatBytes(use.bytesMax)}${note}`,
    chartMax: use.bytesMax,
    lines: [lines],
  });
  const counts = ({ entries, evictions }: typeof memory.events) =>
    `; ${formatCount(entries)} entries, ${formatCount(evictions)} evicted`;
  const { events, metadata, logs, heap, budgetBytes } = memory;
  const values = (read: (sample: Sample) => number) => samples.map(read);
  return {
    title: `Memory, budget ${formatBytes(budgetBytes)}`,
    figures: [
      figure(
        "Events",
        events,
        values(({ eventsBytes }) => eventsBytes),
        counts(events),
      ),
      figure(
        "Metadata",
        metadata,
        values(({ metadataBytes }) => metadataBytes),
        counts(metadata),
      ),
      figure(
        "Logs",
        logs,
        values(({ logsBytes }) => logsBytes),
      ),
      figure(
        "JavaScript heap",
        heap,
        values(({ heapBytes }) => heapBytes),
        " for entries",
      ),
    ],
  };
}

function logAndTier({ log, tier }: StatusFigures, samples: readonly Sample[], members: MemberList): Section {
  const state = (isUp: boolean) => (isUp ? "up" : "unavailable");
  return {
    title: "Log",
    figures: [
      {
        label: "Invalidation log",
        value: state(log.isUp),
        note: log.isUp
          ? log.memberCount === null
            ? "in this process"
            : `${formatCount(log.memberCount)} members`
          : "reads miss and changes are refused",
        isBad: !log.isUp,
        chartMax: 1,
        lines: [samples.map(({ isLogUp }) => Number(isLogUp))],
      },
      ...(tier === null
        ? []
        : [
            {
              label: "Tier",
              value: state(tier.isUp),
              note: tier.isUp ? "" : "sidecars that start are cold",
              isBad: !tier.isUp,
              lines: [],
            },
          ]),
    ],
    ...(members.isShared && { table: membersTable(members) }),
  };
}

function changes({ lastMinute, total, lastChanges }: StatusFigures, samples: readonly Sample[]): Section {
  return {
    title: "Changes, last minute",
    figures: CHANGE_KINDS.map((kind) => ({
      label: CHANGE_LABELS[kind],
      value: formatCount(lastMinute.changes[kind]),
      note: `${formatCount(total.changes[kind])} since the start`,
      lines: [rates(samples, ({ activity }) => activity.changes[kind])],
    })),
    table: lastChangesTable(lastChanges),
  };
}

function rates(samples: readonly Sample[], count: (sample: Sample) => number): number[] {
  return samples.map((sample) => (sample.seconds === 0 ? 0 : count(sample) / sample.seconds));
}
