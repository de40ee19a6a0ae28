import { BATCH_BYTES_MAX, IN_FLIGHT_SHARE_OF_ONE } from "../../core/limits.js";
import { ActiveHomeservers } from "./active-homeservers.js";

/**
 * Bytes of batches on their way to subscribers. A subscriber for whose batch
 * there is no room waits its turn, in the order of coming; while several
 * homeservers are active, one has at most a quarter, and nobody waits behind a
 * homeserver that has used its share up.
 */
export class BatchCapacity {
  readonly #bytesMax: number;
  readonly #active: ActiveHomeservers;
  readonly #usedBy = new Map<string, number>();
  readonly #waiting = new Set<Waiter>();
  #used = 0;

  /** `clock` is a monotonic clock in milliseconds. */
  constructor(bytesMax: number, clock: () => number) {
    this.#bytesMax = bytesMax;
    this.#active = new ActiveHomeservers(clock);
  }

  get used(): number {
    return this.#used;
  }

  /** Room for a batch of `bytes`, or undefined if there is none now or others wait for some. */
  take(homeserver: string, bytes: number): BatchRoom | undefined {
    const shareMax = this.#shareMax(homeserver);
    if (this.#waiting.size > 0 || !this.#fits(homeserver, bytes, shareMax)) return undefined;
    return this.#room(homeserver, bytes);
  }

  /** Room for the largest batch as soon as there is some, or undefined once `gone` aborts. */
  wait(homeserver: string, gone: AbortSignal): Promise<BatchRoom | undefined> {
    return new Promise((resolve) => {
      const done = (room: BatchRoom | undefined) => {
        gone.removeEventListener("abort", leave);
        this.#waiting.delete(waiter);
        resolve(room);
      };
      const leave = () => done(undefined);
      const waiter: Waiter = { homeserver, done };
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
    const full = new Set<string>();
    for (const { homeserver, done } of this.#waiting) {
      if (this.#used + RESERVED_BYTES > this.#bytesMax && this.#used > 0) return;
      if (full.has(homeserver)) continue;
      if (this.#fits(homeserver, RESERVED_BYTES, this.#shareMax(homeserver))) {
        done(this.#room(homeserver, RESERVED_BYTES));
      } else {
        full.add(homeserver);
      }
    }
  }

  /** A homeserver that has none on its way may always have one batch, if there is room in all. */
  #fits(homeserver: string, bytes: number, shareMax: number): boolean {
    const own = this.#usedBy.get(homeserver) ?? 0;
    return (
      (this.#used === 0 || this.#used + bytes <= this.#bytesMax) && (own === 0 || own + bytes <= shareMax)
    );
  }

  #shareMax(homeserver: string): number {
    return this.#bytesMax * (this.#active.note(homeserver) ? IN_FLIGHT_SHARE_OF_ONE : 1);
  }

  #room(homeserver: string, bytes: number): BatchRoom {
    let held = bytes;
    this.#add(homeserver, bytes);
    return {
      resize: (to) => {
        this.#add(homeserver, to - held);
        const isLess = to < held;
        held = to;
        if (isLess) this.#serve();
      },
    };
  }

  #add(homeserver: string, bytes: number): void {
    this.#used += bytes;
    const own = (this.#usedBy.get(homeserver) ?? 0) + bytes;
    if (own === 0) this.#usedBy.delete(homeserver);
    else this.#usedBy.set(homeserver, own);
  }
}

/** What a batch on its way takes. */
export interface BatchRoom {
  /** Makes it what the batch turned out to take; 0 gives it back. */
  resize(bytes: number): void;
}

interface Waiter {
  readonly homeserver: string;
  readonly done: (room: BatchRoom | undefined) => void;
}

/** What a subscriber waits for, since its batch is only made when there is room for it. */
const RESERVED_BYTES = BATCH_BYTES_MAX;
