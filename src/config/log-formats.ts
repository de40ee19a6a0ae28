/** The formats of log lines; `auto` stands for console on a terminal, else json. */
export const LOG_FORMATS = ["json", "console", "auto"] as const;

export type LogFormat = (typeof LOG_FORMATS)[number];
