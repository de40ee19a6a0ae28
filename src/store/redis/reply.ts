import type { Epoch, LeaseToken, Position, Writer } from "../../core/types.js";
import type { Provenance } from "./proofs.js";

/** A homeserver's state as a script left it; what every script on a homeserver answers with. */
export interface RemoteState {
  readonly position: Position;
  /** The sequence number of the newest change that the log no longer holds. */
  readonly trimmedThrough: number;
  readonly provenance: Provenance;
  readonly suspended: boolean;
  readonly writers: number;
  readonly logEventIds: number;
  readonly logBytes: number;
  /** Why this very call started an epoch; empty: it did not. */
  readonly started: string;
  /** The leases that have lapsed while the homeserver is suspended, or else in this very call. */
  readonly lapsed: readonly { readonly writer: Writer; readonly token: LeaseToken }[];
}

export interface ScriptReply {
  readonly state: RemoteState;
  readonly result: unknown;
}

/** Reads what `finish` in lua/prelude.ts writes. */
export function readReply(reply: unknown): ScriptReply {
  const [
    epoch,
    sequence,
    trimmedThrough,
    replicationId,
    replicas,
    suspended,
    writers,
    ids,
    bytes,
    started,
    lapsed,
    result,
  ] = reply as [
    Buffer,
    number,
    number,
    Buffer,
    number,
    number,
    number,
    number,
    number,
    Buffer,
    Buffer[],
    unknown,
  ];
  const state: RemoteState = {
    position: { epoch: epoch.toString("latin1") as Epoch, sequence },
    trimmedThrough,
    provenance: { replicationId: replicationId.toString("latin1"), replicas },
    suspended: suspended === 1,
    writers,
    logEventIds: ids,
    logBytes: bytes,
    started: started.toString("latin1"),
    lapsed: lapsed.flatMap((writer, at) =>
      at % 2 === 0
        ? [{ writer: writer.toString() as Writer, token: lapsed[at + 1]!.toString("latin1") as LeaseToken }]
        : [],
    ),
  };
  return { state, result };
}
