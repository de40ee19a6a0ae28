import type { Epoch, Position } from "../../core/model/types.js";
import type { HomeserverLog, Log, LogCopy } from "../port.js";

/**
 * The default log. It exists only in this process, so the copy of each
 * homeserver's log is the log itself. A restart of the process starts new epochs.
 */
export function createMemoryLog(newEpoch: () => Epoch): Log {
  return {
    follow: (copy) => followInMemory(copy, newEpoch),
    status: () => ({ isUp: true, errors: {}, memberCount: 0 }),
    members: { list: async () => [], positions: async () => [] },
    close: async () => {},
  };
}

function followInMemory(copy: LogCopy, newEpoch: () => Epoch): HomeserverLog {
  const start = (): Position => ({ epoch: newEpoch(), sequence: 0 });
  copy.restart(start(), "started");
  return {
    isCurrent: () => true,
    ready: () => undefined,
    append: async (_change, apply) => {
      apply();
      return copy.position;
    },
    startEpoch: async () => {
      copy.restart(start(), "asked");
      return copy.position;
    },
    // No other process appends, so a position ahead is never reached.
    catchUp: () => undefined,
    leave: () => {},
  };
}
