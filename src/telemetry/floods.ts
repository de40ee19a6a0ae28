import { Counter, type Registry } from "prom-client";
import type { FloodKind, FloodObserver } from "../rpc/admission/connection.js";
import { LineLimit } from "./line-limit.js";
import type { Logger } from "./logger.js";

/** The end of the log line about each kind of flood. */
const DESCRIPTIONS: Readonly<Record<FloodKind, string>> = {
  tiny_data: "it split its requests into too many small frames",
  unknown_method: "it called unknown methods too often",
  reset_call: "it reset its calls too often",
};

/**
 * Counts and logs connections that were closed because of a flood. Of each kind it
 * logs one line in 10 seconds, then the number of further connections.
 */
export function observeFloods(registry: Registry, logger: Logger): FloodObserver {
  const counter = new Counter({
    name: "splitcache_floods_total",
    help: "Connections that were closed because of a flood, by kind: tiny_data (too many small frames), unknown_method (too many calls of unknown methods), reset_call (too many reset calls)",
    labelNames: ["kind"],
    registers: [registry],
  });
  for (const kind of Object.keys(DESCRIPTIONS)) counter.inc({ kind }, 0);
  const limit = new LineLimit({
    linesMax: 1,
    windowMs: 10_000,
    keysMax: Object.keys(DESCRIPTIONS).length,
    onSuppressed: (kind, suppressed) =>
      logger.warn("further connections were closed because of a flood", { kind, suppressed }),
  });
  return ({ kind, peer }) => {
    counter.inc({ kind });
    if (limit.admits(kind)) logger.warn(`a connection was closed: ${DESCRIPTIONS[kind]}`, { kind, peer });
  };
}
