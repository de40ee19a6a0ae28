/** The exit codes of every client command; scripts may rely on them. */
export const ExitCode = {
  done: 0,
  failure: 1,
  usage: 2,
  incomplete: 3,
  unavailable: 4,
  twoStores: 5,
  outputFailed: 6,
  interrupted: 130,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** What the codes mean, for the end of each command's help. */
export const EXIT_CODES_HELP = `Exit codes:
  0    done
  1    failed: not healthy, a check that does not hold, an error of the sidecar
  2    wrong usage: an argument, a file or a request that the sidecar refuses
  3    incomplete: an event is missing (get) or was not stored (put)
  4    unavailable: no sidecar there, no answer in time, or its store is away; try again
  5    two sidecars that do not know of each other answer at one address (watch)
  6    standard output cannot be written, as on a full disk
  130  interrupted`;
