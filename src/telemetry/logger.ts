import { pino, stdTimeFunctions } from "pino";
import type { LogLevel } from "../config/log-levels.js";
import { withoutSecrets } from "../config/without-secrets.js";
import type { StoreObserver } from "../core/model/store.js";
import type { RpcLogger } from "../rpc/status.js";
import { LineLimit } from "./line-limit.js";

/** Named values of a log line; never the content of an event. */
export type LogFields = Readonly<Record<string, unknown>>;

/** The log of the process, for operators. Never waits and never throws. */
export interface Logger extends RpcLogger {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  fatal(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

/** A log whose level can be changed while it is in use. */
export interface LeveledLogger extends Logger {
  /** The least severe level that is written. With `silent` nothing is written. */
  level: LogLevel;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Receives the lines. Must neither wait nor throw. */
  readonly to: { write(line: string): void };
}

/**
 * Creates a log that writes one JSON object per line, with its level and an ISO 8601 time. Messages are
 * constants of the code. Of each message at most 100 lines are written in 10 seconds, then a line with the
 * number of suppressed lines: a client that can cause a line can cause it in a loop. Fatal lines are
 * always written.
 */
export function createLogger({ level, to }: LoggerOptions): LeveledLogger {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label }), log: shownFields },
      serializers: { err: (error: unknown) => shownError(error) },
    },
    to,
  );
  const limit = new LineLimit({
    linesMax: LINES_MAX,
    windowMs: LINES_WINDOW_MS,
    keysMax: MESSAGES_MAX,
    onSuppressed: (message, suppressed) => {
      logger.warn({ message, suppressed }, "log lines were suppressed: too many in a short time");
    },
  });
  const write = (severity: "debug" | "info" | "warn" | "error") => {
    return (message: string, fields: LogFields = {}) => {
      if (logger.isLevelEnabled(severity) && limit.admits(message)) logger[severity](fields, message);
    };
  };
  return {
    get level() {
      return logger.level as LogLevel;
    },
    set level(given) {
      logger.level = given;
    },
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    fatal: (message, fields = {}) => logger.fatal(fields, withoutSecrets(message)),
  };
}

/** The fields without secrets. */
function shownFields(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, shown(value)]));
}

function shown(value: unknown): unknown {
  if (typeof value === "string") return withoutSecrets(value);
  return Array.isArray(value) ? value.map(shown) : value;
}

/** The text fields of an error. Its other fields may contain anything, so they are omitted. */
function shownError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return shown(String(error));
  const { name, message, stack, cause } = error;
  const code = "code" in error ? { code: shown(error.code) } : {};
  return {
    type: name,
    message: shown(message),
    stack: shown(stack),
    ...code,
    ...(cause === undefined || depth === CAUSES_MAX ? {} : { cause: shownError(cause, depth + 1) }),
  };
}

/**
 * Logs the changes of state of a store. Of each homeserver at most 20 lines are
 * written in 10 seconds, then the number of suppressed lines. `keysMax` is the number
 * of homeservers that are counted separately at the same time.
 */
export function reportStore(logger: Logger, keysMax: number): StoreObserver {
  const limit = new LineLimit({
    linesMax: STORE_LINES_MAX,
    windowMs: LINES_WINDOW_MS,
    keysMax,
    onSuppressed: (homeserver, suppressed) => {
      logger.warn("log lines about a homeserver were suppressed: too many in a short time", {
        homeserver,
        suppressed,
      });
    },
  });
  return {
    logRestarted: (homeserver, epoch, reason) => {
      if (!limit.admits(homeserver)) return;
      const message = "the copy of a homeserver's log was restarted; the homeserver's cache was emptied";
      logger.info(message, { homeserver, epoch, reason });
    },
    homeserverForgotten: (homeserver) => {
      if (!limit.admits(homeserver)) return;
      logger.info("an idle homeserver was removed", { homeserver });
    },
  };
}

const CAUSES_MAX = 4;
const LINES_MAX = 100;
/** More than the number of messages in the code. */
const MESSAGES_MAX = 64;
const STORE_LINES_MAX = 20;
const LINES_WINDOW_MS = 10_000;
