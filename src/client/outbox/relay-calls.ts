import type { Writer } from "../writer.js";
import type { RelayCalls } from "./relay.js";

/** Short and once, so that a sidecar that does not answer does not delay the next poll for long. */
const ONCE = { timeoutMs: 500, repeats: false } as const;

export function relayCalls(writer: Writer): RelayCalls {
  return {
    position: () => writer.position(ONCE),
    beginEpoch: () => writer.purgeHomeserver({ ...ONCE, newEpoch: true }),
    announce: (call) => {
      if (call.kind === "events") return writer.invalidate(call.eventIds, { ...ONCE, roomId: call.roomId });
      if (call.kind === "room") return writer.purgeRoom(call.roomId, ONCE);
      return writer.purgeHomeserver(ONCE);
    },
  };
}
