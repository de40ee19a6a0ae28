/** Numbers as people read them. An unknown number is a dash. */

export const UNKNOWN = "–";

export function formatCount(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}

export function formatShare(share: number | null): string {
  return share === null ? UNKNOWN : `${(100 * share).toFixed(1)} %`;
}

/** With three digits at most, so that small rates do not read as zero. */
export function formatRate(perSecond: number): string {
  return `${perSecond >= 100 ? formatCount(perSecond) : shortNumber(perSecond)}/s`;
}

export function formatBytes(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "KiB", "MiB"]) {
    if (value < 1024) return `${shortNumber(value)} ${unit}`;
    value /= 1024;
  }
  return `${shortNumber(value)} GiB`;
}

export function formatSeconds(seconds: number | null): string {
  if (seconds === null) return UNKNOWN;
  if (seconds < 0.001) return `${shortNumber(seconds * 1e6)} µs`;
  return seconds < 1 ? `${shortNumber(seconds * 1e3)} ms` : `${shortNumber(seconds)} s`;
}

/** The two largest units. */
export function formatUptime(seconds: number): string {
  const [days, hours, minutes] = [86_400, 3600, 60].map((unit) => Math.floor(seconds / unit));
  if (days! > 0) return `${days} d ${hours! % 24} h`;
  if (hours! > 0) return `${hours} h ${minutes! % 60} min`;
  return minutes! > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

function shortNumber(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
