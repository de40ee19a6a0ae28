import { BATCH_BYTES_MAX } from "../../core/model/limits.js";
import { ActiveParties } from "./active-parties.js";
import { Capacity, type Holder } from "./capacity.js";

/**
 * Bytes of batches on their way to subscribers. A subscriber for whose batch
 * there is no room waits its turn, in the order of coming. Connections and
 * homeservers have shares, and nobody waits behind one that has used its share up.
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

  /** Room for a batch of `bytes`, or undefined if there is none now or others wait for some. */
  take(holder: Holder, bytes: number): BatchRoom | undefined {
    if (this.#waiting.size > 0 || this.#capacity.take(holder, bytes) !== undefined) return undefined;
    return this.#room(holder, bytes);
  }

  /** Room for the largest batch as soon as there is some, or undefined once `gone` aborts. */
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

/** What a batch on its way takes. */
export interface BatchRoom {
  /** Makes it what the batch turned out to take; 0 gives it back. */
  resize(bytes: number): void;
}

interface Waiter {
  readonly holder: Holder;
  readonly done: (room: BatchRoom | undefined) => void;
}

/** What a subscriber waits for, since its batch is only made when there is room for it. */
const RESERVED_BYTES = BATCH_BYTES_MAX;
