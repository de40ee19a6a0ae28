import { ByteSlab, type RangeOwner } from "../../../src/core/memory/byte-slab.js";
import type { ByteRange } from "../../../src/core/model/types.js";
import { laterTurns } from "./parts.js";

/** A slab beside a model that knows what every range should hold: one number, in every byte. */
export function checkedSlab() {
  const turns = laterTurns();
  const slab = new ByteSlab(turns.defer);
  const live: { readonly owner: RangeOwner; readonly size: number; readonly fill: number }[] = [];
  let count = 0;
  return {
    slab,
    turns,
    live,
    allocate(size: number): RangeOwner {
      const owner: RangeOwner = { range: undefined };
      const fill = count++ % 251;
      const range = slab.allocate(owner, size);
      range.bytes.fill(fill, range.start, range.end);
      live.push({ owner, size, fill });
      return owner;
    },
    /** Frees one of the live ranges, whose last then takes its place in the list. */
    free(which: number): number {
      const freed = live[which]!;
      const last = live.pop()!;
      if (freed !== last) live[which] = last;
      slab.free(freed.owner);
      return freed.size;
    },
    check(): void {
      for (const { owner, size, fill } of live) {
        if (!holds(owner.range!, size, fill)) throw new Error("bytes were lost");
      }
    },
  };
}

export function holds({ bytes, start, end }: ByteRange, size: number, fill: number): boolean {
  return end - start === size && bytes.subarray(start, end).equals(Buffer.alloc(size, fill));
}
