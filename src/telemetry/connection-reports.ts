import type { ConnectionLog } from "../net/connection-table.js";
import { LineLimit } from "./line-limit.js";
import type { Logger } from "./logger.js";

/** The log lines of listeners. Any client can cause them, so each kind is logged at most once in 10 seconds. */
export interface ListenerObserver {
  /** The log of the connections of one kind of listener. */
  connections(listener: string): ConnectionLog;
  /** A connection could not be accepted, for example because no file descriptor was free. */
  acceptFailed(error: Error): void;
}

export function reportListeners(logger: Logger): ListenerObserver {
  const limit = new LineLimit({
    linesMax: 1,
    windowMs: WINDOW_MS,
    keysMax: KINDS_MAX,
    onSuppressed: (kind, suppressed) =>
      logger.warn("log lines about connections were suppressed", { kind, suppressed }),
  });
  return {
    connections: (listener) => ({
      displaced: (peer, { max }) => {
        if (!limit.admits(`${listener} displaced`)) return;
        const message =
          "the connection limit is reached; for each new connection, the longest idle connection of the peer with the most connections is closed";
        logger.warn(message, { listener, connectionsMax: max, peer });
      },
      refused: (peer, { max }) => {
        if (!limit.admits(`${listener} refused`)) return;
        const message =
          "the connection limit is reached; new connections are refused, because all connections carry calls";
        logger.warn(message, { listener, connectionsMax: max, peer });
      },
      noDescriptor: (peer, { open, max }) => {
        if (!limit.admits(`${listener} no descriptor`)) return;
        const message =
          "all file descriptors are in use; probes are answered from a reserve, and a new gRPC connection replaces an idle connection or is refused";
        logger.error(message, { listener, connections: open, connectionsMax: max, peer });
      },
    }),
    acceptFailed: (err) => {
      if (limit.admits("not accepted")) logger.error("a connection could not be accepted", { err });
    },
  };
}

const WINDOW_MS = 10_000;
const KINDS_MAX = 16;
