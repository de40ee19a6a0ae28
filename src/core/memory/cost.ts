/** The cost of an item in bytes: in total, and in the JavaScript heap. */
export interface Cost {
  readonly bytes: number;
  readonly heapBytes: number;
}

/** What a cache may use. */
export interface Bounds {
  readonly bytesMax: number;
  readonly heapBytesMax: number;
  readonly entriesMax: number;
}

/** What is used of a cache. */
export class Usage {
  bytes = 0;
  heapBytes = 0;
  entries = 0;

  add(cost: Cost): void {
    this.#count(cost, 1);
  }

  remove(cost: Cost): void {
    this.#count(cost, -1);
  }

  /** Counts heap bytes that belong to no item; negative to give back. */
  charge(heapBytes: number): void {
    this.bytes += heapBytes;
    this.heapBytes += heapBytes;
  }

  /** The first bound of which `share` would be exceeded with one more item of this cost. */
  exceeded(bounds: Bounds, cost: Cost, share = 1): Bounded | undefined {
    if (this.bytes + cost.bytes > share * bounds.bytesMax) return "bytes";
    if (this.heapBytes + cost.heapBytes > share * bounds.heapBytesMax) return "heapBytes";
    if (this.entries + 1 > share * bounds.entriesMax) return "entries";
    return undefined;
  }

  #count(cost: Cost, sign: 1 | -1): void {
    this.bytes += sign * cost.bytes;
    this.heapBytes += sign * cost.heapBytes;
    this.entries += sign;
  }
}

/** What is bounded, and the name of its bound. */
export const BOUND_OF = { bytes: "bytesMax", heapBytes: "heapBytesMax", entries: "entriesMax" } as const;

export type Bounded = keyof typeof BOUND_OF;
