/**
 * Remembers for a while which items were evicted, by their hash alone.
 *
 * A set-associative table: a hash may lie in one of four slots of its bucket, and the
 * oldest of them gives way. So no operation takes longer than another, nothing is
 * allocated but the table, and a hash may be forgotten early, or mistaken for an equal one;
 * both cost a hit at most.
 */
export class GhostTable {
  #hashes = new Uint32Array(0);
  /** When each was added, in additions; 0 is an empty slot. */
  #times = new Uint32Array(0);
  #additions = 0;
  readonly #charge: (bytes: number) => void;

  /** `charge` counts the bytes of the table. */
  constructor(charge: (bytes: number) => void) {
    this.#charge = charge;
  }

  /** Makes the table large enough for so many; what it remembers is lost if it grows. */
  reserve(count: number): void {
    if (count <= this.#hashes.length) return;
    let slots = WAYS;
    while (slots < count) slots *= 2;
    this.#resize(slots);
  }

  /** Forgets all and frees the table. */
  clear(): void {
    if (this.#hashes.length > 0) this.#resize(0);
  }

  add(hash: number): void {
    if (this.#hashes.length === 0) return;
    this.#additions = (this.#additions + 1) >>> 0 || 1;
    const bucket = this.#bucketOf(hash);
    let oldest = bucket;
    for (let slot = bucket; slot < bucket + WAYS; slot++) {
      if (this.#times[slot] === 0) {
        oldest = slot;
        break;
      }
      if (this.#ageOf(slot) > this.#ageOf(oldest)) oldest = slot;
    }
    this.#hashes[oldest] = hash;
    this.#times[oldest] = this.#additions;
  }

  /** Forgets a hash. Returns whether it was among the newest so many that were added. */
  take(hash: number, newest: number): boolean {
    if (this.#hashes.length === 0) return false;
    const bucket = this.#bucketOf(hash);
    for (let slot = bucket; slot < bucket + WAYS; slot++) {
      if (this.#hashes[slot] !== hash >>> 0 || this.#times[slot] === 0) continue;
      const isNew = this.#ageOf(slot) < newest;
      this.#times[slot] = 0;
      return isNew;
    }
    return false;
  }

  #resize(slots: number): void {
    this.#charge((slots - this.#hashes.length) * SLOT_BYTES);
    this.#hashes = new Uint32Array(slots);
    this.#times = new Uint32Array(slots);
    this.#additions = 0;
  }

  #bucketOf(hash: number): number {
    // The low bits select an item's shard; those above them spread it here.
    return (Math.imul(hash, 0x9e3779b1) >>> 8) & (this.#hashes.length - WAYS);
  }

  #ageOf(slot: number): number {
    return (this.#additions - this.#times[slot]!) >>> 0;
  }
}

const WAYS = 4;
const SLOT_BYTES = 8;
