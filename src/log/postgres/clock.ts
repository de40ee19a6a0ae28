import { openSync, readSync } from "node:fs";
import { performance } from "node:perf_hooks";

/** A monotonic clock that also counts the time in which the machine was suspended. */
export interface LeaseClock {
  nowMs(): number;
}

/** The sources of a clock; tests replace them. */
export interface ClockSources {
  /** Milliseconds that do not count a suspended machine, such as `performance.now()`. */
  monotonicMs(): number;
  /** Milliseconds since the machine started, suspended or not; undefined where it cannot be read. */
  uptimeMs(): number | undefined;
  /** Runs a function in a later turn of the event loop. */
  defer(run: () => void): void;
}

/** /proc/uptime has two decimals: readings in one moment differ by less than this. */
const RESOLUTION_MS = 25;

/**
 * The monotonic clock of Node.js stops while a machine is suspended, so a lease measured
 * by it would outlive the suspension. The uptime continues, so its gain is added. It is
 * read once per turn of the event loop: reading takes 2 µs.
 */
export class SuspensionClock implements LeaseClock {
  readonly #sources: ClockSources;
  readonly #bootMs: number | undefined;
  #suspendedMs = 0;
  #isChecked = false;

  constructor(sources: ClockSources = processClock()) {
    this.#sources = sources;
    this.#bootMs = this.#sinceBoot();
  }

  nowMs(): number {
    if (!this.#isChecked) this.#check();
    return this.#sources.monotonicMs() + this.#suspendedMs;
  }

  #check(): void {
    this.#isChecked = true;
    this.#sources.defer(() => {
      this.#isChecked = false;
    });
    const bootMs = this.#sinceBoot();
    if (this.#bootMs === undefined || bootMs === undefined) return;
    const gained = bootMs - this.#bootMs;
    if (gained > this.#suspendedMs + RESOLUTION_MS) this.#suspendedMs = gained;
  }

  /** By how much the uptime is ahead of the monotonic clock. */
  #sinceBoot(): number | undefined {
    const uptimeMs = this.#sources.uptimeMs();
    return uptimeMs === undefined ? undefined : uptimeMs - this.#sources.monotonicMs();
  }
}

/** The clocks of this process. Where there is no /proc, as on macOS, suspensions are not seen. */
export function processClock(): ClockSources {
  const bytes = Buffer.allocUnsafeSlow(64);
  const file = openUptime();
  return {
    monotonicMs: () => performance.now(),
    uptimeMs: () => {
      if (file === undefined) return undefined;
      const length = readSync(file, bytes, 0, bytes.length, 0);
      return Number.parseFloat(bytes.toString("latin1", 0, length)) * 1000;
    },
    defer: (run) => void setImmediate(run),
  };
}

function openUptime(): number | undefined {
  try {
    return openSync("/proc/uptime", "r");
  } catch {
    return undefined;
  }
}
