/** The exit codes of every command; scripts may rely on them. */
export const ExitCode = {
  done: 0,
  failure: 1,
  usage: 2,
  incomplete: 3,
  unavailable: 4,
  twoLogs: 5,
  outputFailed: 6,
  interrupted: 130,
  readerGone: 141,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** What each code means, for `splitcache help exit-codes` and docs/. */
export const EXIT_CODES: Readonly<Record<ExitCode, string>> = {
  [ExitCode.done]: "The command succeeded; serve stopped after a signal.",
  [ExitCode.failure]:
    "The command failed, the sidecar does not serve, doctor found an error, or serve cannot start.",
  [ExitCode.usage]: "An argument, a file, the configuration or a request is not valid.",
  [ExitCode.incomplete]: "An event is missing (get) or was not stored (put).",
  [ExitCode.unavailable]: "No sidecar answers in time, or the sidecar is unavailable. Try again.",
  [ExitCode.twoLogs]: "Two separate invalidation logs answer at one address (watch).",
  [ExitCode.outputFailed]: "Standard output cannot be written, for example because the disk is full.",
  [ExitCode.interrupted]: "The command was interrupted.",
  [ExitCode.readerGone]: "The reader of standard output ended first, as head does.",
};

/** A failure that a command reports in one line. The message is shown to the user. */
export class CliError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "CliError";
    this.exitCode = exitCode;
  }
}
