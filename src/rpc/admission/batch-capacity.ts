import { BATCH_BYTES_MAX } from "../../core/model/limits.js";
import { ActiveParties } from "./active-parties.js";
import { Capacity, type Holder } from "./capacity.js";

/**
 * The bytes of batches being sent to subscribers. If a batch does not fit, its
 * subscriber waits in a first-in, first-out queue. Connections and homeservers have
 * shares; a subscriber that waits for its share does not block others.
 */
export class BatchCapacity {
  readonly #capacity: Capacity;
  readonly #waiting = new Set<Waiter>();

  /** `clock` is a monotonic clock in milliseconds. */
  constructor(bytesMax: number, clock: () => number, activePeers?: ActiveParties) {
    this.#capacity = new Capacity(bytesMax, {
      active: new ActiveParties(clock),
      ...(activePeers && { activePeers }),
      floor: RESERVED_BYTES,
      firstAlwaysFits: true,
    });
  }

  get used(): number {
    return this.#capacity.used;
  }

  /** Reserves room for a batch of `bytes`. Undefined if it does not fit or others are waiting. */
  take(holder: Holder, bytes: number): BatchRoom | undefined {
    if (this.#waiting.size > 0 || this.#capacity.take(holder, bytes) !== undefined) return undefined;
    return this.#room(holder, bytes);
  }

  /** Waits for room for the largest batch. Resolves with undefined when `gone` aborts. */
  wait(holder: Holder, gone: AbortSignal): Promise<BatchRoom | undefined> {
    return new Promise((resolve) => {
      const done = (room: BatchRoom | undefined) => {
        gone.removeEventListener("abort", leave);
        this.#waiting.delete(waiter);
        resolve(room);
      };
      const leave = () => done(undefined);
      const waiter: Waiter = { holder, done };
      if (gone.aborted) {
        leave();
        return;
      }
      gone.addEventListener("abort", leave, { once: true });
      this.#waiting.add(waiter);
      this.#serve();
    });
  }

  #serve(): void {
    for (const { holder, done } of this.#waiting) {
      const full = this.#capacity.take(holder, RESERVED_BYTES);
      if (full === "all") return;
      if (full === undefined) done(this.#room(holder, RESERVED_BYTES));
    }
  }

  #room(holder: Holder, bytes: number): BatchRoom {
    let held = bytes;
    return {
      resize: (to) => {
        const isLess = to < held;
        this.#capacity.give(holder, held - to);
        held = to;
        if (isLess) this.#serve();
      },
    };
  }
}

/** The room that a batch being sent uses. */
export interface BatchRoom {
  /** Sets it to the batch's actual size; 0 releases it. */
  resize(bytes: number): void;
}

interface Waiter {
  readonly holder: Holder;
  readonly done: (room: BatchRoom | undefined) => void;
}

/** A subscriber reserves this much, since its batch is created only when there is room for it. */
const RESERVED_BYTES = BATCH_BYTES_MAX;
