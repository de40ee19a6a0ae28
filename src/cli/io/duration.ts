import { InvalidArgumentError } from "commander";
import type { Duration } from "../../gen/google/protobuf/duration.js";

/** What a timer of Node.js can wait: with more it would fire at once. */
const DURATION_MS_MAX = 2 ** 31 - 1;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Parses `250ms`, `5s`, `1.5m` or `2h` into milliseconds; a commander argument parser. */
export function parseDurationMs(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  if (amount === undefined || unit === undefined) {
    throw new InvalidArgumentError("Expected a duration such as 250ms, 5s, 1m or 2h.");
  }
  const ms = Number(amount) * UNIT_MS[unit]!;
  if (ms > DURATION_MS_MAX) throw new InvalidArgumentError("Expected at most 596h.");
  return ms;
}

/** Writes milliseconds for people: `0.42 ms`, `15 ms`, `1.2 s`, `3 m 20 s`. */
export function formatDuration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} m ${Math.round((ms % 60_000) / 1000)} s`;
}

/** The milliseconds of a duration of the contract; 0 if it is absent. */
export function durationMs(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) * 1000 + Math.floor(duration.nanos / 1e6);
}
