import { SingleBar } from "cli-progress";
import type { CliIo } from "../../src/cli/io/cli-io.js";

export interface ProgressBar {
  /** Adds to the progress. */
  readonly advance: (amount: number) => void;
  /** Ends the bar; may be called again. */
  readonly stop: () => void;
}

/** A progress bar on standard error. Nothing is shown if standard error is not a terminal. */
export function progressBar(io: CliIo, total: number): ProgressBar {
  if (!io.isTty) return { advance: () => {}, stop: () => {} };
  const bar = new SingleBar({
    format: "{bar} {percentage} %  {duration_formatted}",
    stream: io.stderr,
    hideCursor: true,
    clearOnComplete: true,
  });
  bar.start(total, 0);
  return { advance: (amount) => bar.increment(amount), stop: () => bar.stop() };
}
