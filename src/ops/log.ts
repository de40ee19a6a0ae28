import { type DestinationStream, destination, pino, stdTimeFunctions } from "pino";
import type { StoreLog } from "../core/store-log.js";
import type { RpcLog } from "../rpc/rpc-log.js";
import { LineLimit } from "./line-limit.js";

/** Named values of a log line; never the content of an event. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where the process writes what operators read. */
export interface Log extends RpcLog {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  fatal(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

export interface LogOptions {
  /** The least severe level that is written; `silent` writes nothing. */
  readonly level: string;
  /** Where lines go; standard error, written before the call returns, unless given. */
  readonly to?: DestinationStream;
}

/** Makes a log of one JSON object a line, each with its level and an ISO 8601 time. */
export function createLog({ level, to }: LogOptions): Log {
  const options = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const logger = pino(options, to ?? destination({ fd: STDERR, sync: true }));
  return {
    debug: (message, fields = {}) => logger.debug(fields, message),
    info: (message, fields = {}) => logger.info(fields, message),
    warn: (message, fields = {}) => logger.warn(fields, message),
    error: (message, fields = {}) => logger.error(fields, message),
    fatal: (message, fields = {}) => logger.fatal(fields, message),
  };
}

/**
 * Tells operators what happens in a store: of one homeserver at most 20 lines in
 * 10 seconds, then how many were left out. `keysMax` is how many homeservers are
 * counted apart at once.
 */
export function storeLogTo(log: Log, keysMax: number): StoreLog {
  const limit = new LineLimit({
    linesMax: STORE_LINES_MAX,
    windowMs: STORE_LINES_WINDOW_MS,
    keysMax,
    onLeftOut: (homeserver, leftOut) => {
      log.warn("a homeserver's log lines were left out: too many in a short time", { homeserver, leftOut });
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

const STDERR = 2;
const STORE_LINES_MAX = 20;
const STORE_LINES_WINDOW_MS = 10_000;
