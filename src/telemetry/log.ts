import { pino, stdTimeFunctions } from "pino";
import type { LogLevel } from "../config/log-levels.js";
import { withoutSecrets } from "../config/without-secrets.js";
import type { StoreObserver } from "../core/model/store-observer.js";
import type { RpcLog } from "../rpc/status.js";
import { LineLimit } from "./line-limit.js";

/** Named values of a log line; never the content of an event. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where the process writes what operators read. Never waits and never throws. */
export interface Log extends RpcLog {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  fatal(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

/** A log whose level can be changed while it is in use. */
export interface LeveledLog extends Log {
  /** The least severe level that is written; `silent` writes nothing. */
  level: LogLevel;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Takes lines; must neither wait nor throw. */
  readonly to: { write(line: string): void };
}

/**
 * Makes a log of one JSON object a line, each with its level and an ISO 8601 time. Of each message, which
 * is a constant of the code, at most 100 lines are written in 10 seconds, then how many were left out:
 * whatever a client can cause, it can cause in a loop. Fatal lines are always written.
 */
export function createLog({ level, to }: LogOptions): LeveledLog {
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
    onLeftOut: (message, leftOut) => {
      logger.warn({ message, leftOut }, "log lines were left out: too many in a short time");
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

/** Fields as they may be printed. */
function shownFields(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, shown(value)]));
}

function shown(value: unknown): unknown {
  if (typeof value === "string") return withoutSecrets(value);
  return Array.isArray(value) ? value.map(shown) : value;
}

/** Of an error only what is known to be text: its own fields may hold anything. */
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
 * Tells operators what happens in a store: of one homeserver at most 20 lines in
 * 10 seconds, then how many were left out. `keysMax` is how many homeservers are
 * counted apart at once.
 */
export function storeLogTo(log: Log, keysMax: number): StoreObserver {
  const limit = new LineLimit({
    linesMax: STORE_LINES_MAX,
    windowMs: LINES_WINDOW_MS,
    keysMax,
    onLeftOut: (homeserver, leftOut) => {
      log.warn("log lines about a homeserver were left out: too many in a short time", {
        homeserver,
        leftOut,
      });
    },
  });
  return {
    logRestarted: (homeserver, epoch, reason) => {
      if (!limit.admits(homeserver)) return;
      const message = "the copy of a homeserver's log starts anew; its cache is empty";
      log.info(message, { homeserver, epoch, reason });
    },
    homeserverForgotten: (homeserver) => {
      if (!limit.admits(homeserver)) return;
      log.info("an idle homeserver is forgotten", { homeserver });
    },
  };
}

const CAUSES_MAX = 4;
const LINES_MAX = 100;
/** More than there are messages in the code. */
const MESSAGES_MAX = 64;
const STORE_LINES_MAX = 20;
const LINES_WINDOW_MS = 10_000;
