import type { Readable, Writable } from "node:stream";

/** All that a command sees of the process that runs it; the process edge makes it, tests fake it. */
export interface CliIo {
  /** Results, for people or for the next program in a pipe. */
  readonly stdout: Writable;
  /** Errors, progress and remarks. */
  readonly stderr: Writable;
  readonly stdin: Readable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether a person watches stderr: progress is drawn only then. */
  readonly isTty: boolean;
  /** The width of the terminal; the last column of a table is cut to fit it. */
  readonly columns?: number | undefined;
  /** Aborted when the user interrupts: the command ends soon and in good order. */
  readonly signal: AbortSignal;
  /** Sets the status with which the process will exit; 0 unless called. See exit-code.ts. */
  readonly setExitCode: (code: number) => void;
}
