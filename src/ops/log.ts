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
 * 10 seconds, then how many were left out; lapsed leases always. `keysMax` is how
 * many homeservers are told apart at once.
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
    epochStarted: (homeserver, epoch, reason) => {
      if (!limit.admits(homeserver)) return;
      log.info("a homeserver's log starts afresh", { homeserver, epoch, reason });
    },
    // Never left out: an operator needs its token, and a lease can lapse only once in its duration.
    leaseLapsed: (homeserver, writer, leaseToken) => {
      const message = "a writer's lease lapsed: the homeserver is suspended until it is renewed or released";
      log.warn(message, { homeserver, writer, leaseToken });
    },
    leaseReplaced: (homeserver, writer) => {
      if (!limit.admits(homeserver)) return;
      log.warn("a new process took over the name of a live writer", { homeserver, writer });
    },
    homeserverForgotten: (homeserver) => {
      if (!limit.admits(homeserver)) return;
      log.info("an idle homeserver is forgotten", { homeserver });
    },
  };
}

/**
 * Tells operators of the way to Redis: of one kind at most 5 lines in 10 seconds, then
 * how many were left out. A trouble that was told and comes again within 10 seconds is
 * told once more at their end, with how often.
 */
export function redisLogTo(log: Log) {
  const limit = new LineLimit({
    linesMax: REDIS_LINES_MAX,
    windowMs: STORE_LINES_WINDOW_MS,
    keysMax: REDIS_LINE_KINDS_MAX,
    onLeftOut: (kind, leftOut) => {
      log.warn("log lines about Redis were left out: too many in a short time", { kind, leftOut });
    },
  });
  const tell = (kind: string, reason: string, again?: number) =>
    log.warn("Redis did not do what it was asked to", { kind, reason, again });
  // Only of what the limit admits: so there are never as many as this one takes.
  const told = new LineLimit({
    linesMax: 1,
    windowMs: STORE_LINES_WINDOW_MS,
    keysMax: 2 * REDIS_LINE_KINDS_MAX * REDIS_LINES_MAX,
    onLeftOut: (trouble, again) => tell(...(JSON.parse(trouble) as [kind: string, reason: string]), again),
  });
  return {
    connected: (address: string) => {
      if (limit.admits("connection")) log.info("connected to Redis", { redis: address });
    },
    disconnected: (address: string, reason: string) => {
      if (limit.admits("connection")) log.warn("the connection to Redis is lost", { redis: address, reason });
    },
    trouble: (kind: string, reason: string) => {
      const trouble = JSON.stringify([kind, reason]);
      if (!told.has(trouble) && !limit.admits(kind)) return;
      if (told.admits(trouble)) tell(kind, reason);
    },
    wellnessChanged: (isWell: boolean) => {
      if (!limit.admits("wellness")) return;
      if (isWell) log.info("the store is well again");
      else log.warn("the store is not well: until it is, homeservers' reads miss and their writes fail");
    },
  };
}

const STDERR = 2;
const REDIS_LINES_MAX = 5;
const REDIS_LINE_KINDS_MAX = 32;
const STORE_LINES_MAX = 20;
const STORE_LINES_WINDOW_MS = 10_000;
