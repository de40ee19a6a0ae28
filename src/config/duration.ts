/** The one grammar of durations, of flags, variables and the configuration file alike. */

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/** Reads `250ms`, `5s`, `1.5h` or `7d` into milliseconds; undefined if the text is not a duration in this range. */
export function parseDuration(text: string, min: string, max: string): number | undefined {
  const ms = millisecondsOf(text);
  return ms >= millisecondsOf(min) && ms <= millisecondsOf(max) ? ms : undefined;
}

/** What `parseDuration` accepts, for error messages. */
export function durationKind(min: string, max: string): string {
  return `a duration with a unit (${[...UNIT_MS.keys()].join(", ")}) from ${min} to ${max}, such as 5s`;
}

/** Writes milliseconds for people: `0.42 ms`, `15 ms`, `1.2 s`, `3 m 20 s`. */
export function formatDuration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(1))} s`;
  const seconds = Math.round((ms % 60_000) / 1000);
  return `${Math.floor(ms / 60_000)} m${seconds === 0 ? "" : ` ${seconds} s`}`;
}

function millisecondsOf(text: string): number {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  return Math.round(Number(amount) * (UNIT_MS.get(unit) ?? Number.NaN));
}
