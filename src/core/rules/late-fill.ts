import type { NewEvent, Position } from "../model/types.js";
import type { HomeserverState } from "./homeserver-state.js";

/** An entry that was put earlier, somewhere else. */
export interface LateFill {
  readonly event: NewEvent;
  readonly asOf: Position;
  /** When its time to live ends, by the clock of `nowMs`. */
  readonly expiresAtMs: number;
}

/** A shared tier, as the cache sees it. */
export interface WriteBack {
  /** An entry is written at most this often. */
  readonly intervalMs: number;
  /** Takes an entry as it is now; the bytes may be read until this returns. */
  take(homeserver: HomeserverState, entry: LateFill): void;
}
