import type { Position } from "../../../core/model/types.js";
import type { ChangeToken } from "../codec/change-codec.js";
import { BATCH_BYTES_MAX, BATCH_CHANGES_MAX } from "../postgres-limits.js";

/** A requested change that is not settled. */
export interface PendingChange {
  readonly token: ChangeToken;
  readonly bytes: Buffer;
  readonly weight: number;
  isSettled: boolean;
  settle(outcome: Position | Error): void;
}

/** The unsettled changes of one homeserver. */
export interface AppendQueue {
  /** Not yet in a transaction. */
  waiting: PendingChange[];
  readonly sent: Set<PendingChange>;
  /** Of both. */
  count: number;
  isSending: boolean;
  batches: number;
}

export function newQueue(): AppendQueue {
  return { waiting: [], sent: new Set(), count: 0, isSending: false, batches: 0 };
}

/** Takes the oldest changes that fit into one transaction, without the changes that were rejected since. */
export function takeBatch(queue: AppendQueue): readonly PendingChange[] {
  const live = queue.waiting.filter(({ isSettled }) => !isSettled);
  let bytes = 0;
  let end = 0;
  while (end < live.length && end < BATCH_CHANGES_MAX) {
    bytes += live[end]!.bytes.length;
    if (bytes > BATCH_BYTES_MAX && end > 0) break;
    end += 1;
  }
  queue.waiting = live.slice(end);
  return live.slice(0, end);
}
