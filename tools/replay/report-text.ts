import { formatPairs, formatTable } from "../../src/cli/io/text.js";
import { formatDuration } from "../../src/config/duration.js";
import type { LatencySummary } from "./latencies.js";
import type { ReplayReport } from "./replay-report.js";

/** Formats a report as a table. */
export function formatReport(report: ReplayReport): string {
  const { hits, missesStored, missesNotStored, missesLost } = report;
  const share = hits + missesStored === 0 ? 0 : (100 * hits) / (hits + missesStored);
  return [
    formatPairs([
      ["trace lines", `${report.lines.total} in ${formatDuration(report.durationMs)}`],
      ["events requested", report.idsRead],
      ["  hits", `${hits} (${share.toFixed(1)} % of the stored events)`],
      ["  misses, then put", `${missesStored} (${missesLost} of them evicted, expired or lost)`],
      ["  misses, not stored", missesNotStored],
      ["events put", report.puts.toString()],
      ["redactions set", report.redactions.toString()],
      ["rejections set", report.rejections.toString()],
      ["events invalidated", report.invalidated.toString()],
      ["rooms purged", report.roomsPurged],
      ["mismatches", report.mismatches],
    ]),
    "\n",
    formatTable(
      ["CALL", "COUNT", "P50", "P90", "P99", "MAX"],
      [...report.latencies].map(latencyRow),
      undefined,
    ),
  ].join("");
}

/** Formats a report as a JSON object. Latencies are in milliseconds. */
export function reportFields(report: ReplayReport): object {
  return { ...report, latencies: Object.fromEntries(report.latencies) };
}

function latencyRow([call, { count, p50, p90, p99, max }]: [string, LatencySummary]): string[] {
  return [call, String(count), ...[p50, p90, p99, max].map(formatDuration)];
}
