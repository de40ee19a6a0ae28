import type { TlsLog } from "../net/tls-front.js";
import { LineLimit } from "./line-limit.js";
import type { LogFields, Logger } from "./logger.js";

/** What TLS and authentication report. Any client can cause refusals, so one kind comes once in 10 seconds. */
export interface SecurityObserver extends TlsLog {
  /** A call without valid credentials was refused. */
  refused(problem: string, peer: string | undefined): void;
  /** New files are in use. */
  reloaded(what: Reloadable, fields: LogFields): void;
  /** New files are wrong, and the old ones stay in use. */
  notReloaded(what: Reloadable, problems: readonly string[]): void;
}

type Reloadable = "certificates" | "clients";

export function reportSecurity(logger: Logger): SecurityObserver {
  const limit = new LineLimit({
    linesMax: 1,
    windowMs: WINDOW_MS,
    keysMax: KINDS_MAX,
    onSuppressed: (problem, suppressed) =>
      logger.warn("log lines about refused clients were left out", { problem, suppressed }),
  });
  return {
    handshakeFailed: (problem, peer) => {
      if (limit.admits(problem)) logger.warn("a TLS handshake failed", { problem, peer });
    },
    refused: (problem, peer) => {
      if (limit.admits(problem))
        logger.warn("a call without valid credentials was refused", { problem, peer });
    },
    reloaded: (what, fields) => logger.info(`the ${what} were read again and are in use`, fields),
    notReloaded: (what, problems) =>
      logger.error(`the new ${what} are not used, the old ones stay in use: correct the files`, { problems }),
  };
}

const WINDOW_MS = 10_000;
const KINDS_MAX = 32;
