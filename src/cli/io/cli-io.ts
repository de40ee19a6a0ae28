import type { Readable, Writable } from "node:stream";

/** The parts of the process that a command uses; main.ts makes it, tests fake it. */
export interface CliIo {
  /** Results, for people or for the next program in a pipe. */
  readonly stdout: Writable;
  /** Errors, warnings and progress. */
  readonly stderr: Writable;
  readonly stdin: Readable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether stderr is a terminal: progress is drawn only there. */
  readonly isTty: boolean;
  /** The width of the terminal that shows stdout, undefined if none does; the lines of a table are cut to it. */
  readonly columns?: number | undefined;
  /** The height of the terminal. */
  readonly rows?: number | undefined;
  /** Aborted when the user interrupts; the command then ends soon and closes what it opened. */
  readonly signal: AbortSignal;
  /** Sets the exit code of the process, 0 unless called. See exit-code.ts. */
  readonly setExitCode: (code: number) => void;
}
