import type { Position } from "../../../src/core/types.js";
import type { RemoteState } from "../../../src/store/redis/reply.js";

/** A homeserver's state in Redis of which nothing but its place matters. */
export function remoteState(position: Position, trimmedThrough = 0): RemoteState {
  return {
    position,
    trimmedThrough,
    provenance: { replicationId: "r", replicas: 0 },
    suspended: false,
    writers: 0,
    logEventIds: 0,
    logBytes: 0,
    started: "",
    lapsed: [],
  };
}
