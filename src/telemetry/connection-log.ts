import type { ConnectionLog } from "../net/connection-table.js";
import { LineLimit } from "./line-limit.js";
import type { Log } from "./log.js";

/** What listeners report: any client can cause these lines, so one kind comes once in 10 seconds. */
export interface ListenerLog {
  /** For the connections of one kind of listener. */
  connections(listener: string): ConnectionLog;
  /** A connection could not be accepted, such as for want of a file descriptor. */
  acceptFailed(error: Error): void;
}

export function listenerLogTo(log: Log): ListenerLog {
  const limit = new LineLimit({
    linesMax: 1,
    windowMs: WINDOW_MS,
    keysMax: KINDS_MAX,
    onLeftOut: (kind, count) => log.warn("log lines about connections were left out", { kind, count }),
  });
  return {
    connections: (listener) => ({
      displaced: (peer, { max }) => {
        if (!limit.admits(`${listener} displaced`)) return;
        const message =
          "the bound of connections is reached: the longest idle connection of the peer with the most connections is closed for each new one";
        log.warn(message, { listener, connectionsMax: max, peer });
      },
      refused: (peer, { max }) => {
        if (!limit.admits(`${listener} refused`)) return;
        const message = "the bound of connections is reached: new ones are refused, because all carry calls";
        log.warn(message, { listener, connectionsMax: max, peer });
      },
      noDescriptor: (peer, { open, max }) => {
        if (!limit.admits(`${listener} no descriptor`)) return;
        const message =
          "the file descriptors are used up: probes are answered from a reserve, and a new gRPC connection takes the place of an idle one or is refused";
        log.error(message, { listener, connections: open, connectionsMax: max, peer });
      },
    }),
    acceptFailed: (err) => {
      if (limit.admits("not accepted")) log.error("a connection could not be accepted", { err });
    },
  };
}

const WINDOW_MS = 10_000;
const KINDS_MAX = 16;
