/** The levels of log lines, in ascending order of severity; `silent` stands for no lines at all. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "fatal", "silent"] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];
