import { Counter, type Registry } from "prom-client";
import type { FloodKind, FloodObserver } from "../rpc/admission/connection.js";
import { LineLimit } from "./line-limit.js";
import type { Log } from "./log.js";

/** What a connection did, as a log line says it. */
const DEEDS: Readonly<Record<FloodKind, string>> = {
  tiny_data: "cut its requests into tiny frames",
  unknown_method: "called methods that do not exist",
  reset_call: "reset its calls",
};

/**
 * Counts connections that were ended because of a flood, and logs them: of each
 * kind one line in 10 seconds, then how many more there were.
 */
export function observeFloods(registry: Registry, log: Log): FloodObserver {
  const counter = new Counter({
    name: "splitcache_floods_total",
    help: "Connections that were ended because of a flood, by what they did",
    labelNames: ["kind"],
    registers: [registry],
  });
  for (const kind of Object.keys(DEEDS)) counter.inc({ kind }, 0);
  const limit = new LineLimit({
    linesMax: 1,
    windowMs: 10_000,
    keysMax: Object.keys(DEEDS).length,
    onLeftOut: (kind, leftOut) =>
      log.warn("more connections were ended because of a flood", { kind, leftOut }),
  });
  return ({ kind, peer }) => {
    counter.inc({ kind });
    if (limit.admits(kind)) log.warn(`a connection was ended: it ${DEEDS[kind]} too often`, { kind, peer });
  };
}
