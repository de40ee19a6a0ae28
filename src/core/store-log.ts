import type { Epoch, Homeserver, LeaseToken, Writer } from "./types.js";

/**
 * Why a homeserver's log started afresh. `lost`: what held it was emptied, or has evicted it; `replaced`: another
 * server than the one that held it answers now.
 */
export type EpochReason = "started" | "suspended" | "resumed" | "lost" | "replaced";

/** What a store tells the operator, as it happens; never events, rooms or users. */
export interface StoreLog {
  /** A homeserver's log started afresh: its cache is empty and its subscribers are reset. */
  epochStarted(homeserver: Homeserver, epoch: Epoch, reason: EpochReason): void;
  /** A writer's lease ran out without a release. The token is what `release-writer` needs if the writer is dead. */
  leaseLapsed(homeserver: Homeserver, writer: Writer, token: LeaseToken): void;
  /** A process took over a name whose lease was live. */
  leaseReplaced(homeserver: Homeserver, writer: Writer): void;
  /** An idle homeserver was forgotten. */
  homeserverForgotten(homeserver: Homeserver): void;
}
