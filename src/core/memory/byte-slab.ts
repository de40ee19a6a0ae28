import type { ByteRange } from "../model/types.js";

/** A stretch of a page. Reading it throws once its memory may be used again. */
export class SlabRange implements ByteRange {
  readonly start: number;
  readonly end: number;
  /** Its place among the page's owners. */
  readonly place: number;
  #page: Page | undefined;

  constructor(page: Page, start: number, end: number, place: number) {
    this.#page = page;
    this.start = start;
    this.end = end;
    this.place = place;
  }

  get page(): Page {
    if (this.#page === undefined) throw new Error("bytes of the slab were read after they had been freed");
    return this.#page;
  }

  get bytes(): Buffer {
    return this.page.bytes;
  }

  /** Overwrites the bytes and gives them up. */
  erase(): void {
    this.bytes.fill(0, this.start, this.end);
    this.#page = undefined;
  }
}

/** The holder of a range; the slab gives it another when it moves the bytes. */
export interface RangeOwner {
  range: SlabRange | undefined;
}

/**
 * Memory for many byte strings, in pages of 1 MiB.
 *
 * A Buffer of its own for each would cost some 400 bytes more, and its memory
 * would come back only when the garbage collector and the allocator see fit:
 * under churn a process would hold far more than it counts. Here a freed range
 * is dead space in its page. Once more than an eighth is dead, every allocation
 * moves a few live ranges out of the emptiest page, and an empty page is used again.
 *
 * A freed range is overwritten with zeros, since what was purged must be gone, and
 * a page that became empty is used again, only in a later turn of the event loop:
 * a lookup of the same turn may still read the range. After that it cannot be read.
 */
export class ByteSlab {
  readonly #pages = new Set<Page>();
  readonly #defer: (recycle: () => void) => void;
  /** The page that is being filled. */
  #open: Page | undefined;
  /** The page that is being emptied, and how far. */
  #victim: Page | undefined;
  #victimNext = 0;
  /** Freed in this turn. */
  #freed: SlabRange[] = [];
  #isRecycleDue = false;
  /** Empty since this turn, and empty for longer. */
  #resting: Page[] = [];
  #free: Page[] = [];
  #liveBytes = 0;
  #usedBytes = 0;

  /** `defer` runs a function in a later turn of the event loop. */
  constructor(defer: (recycle: () => void) => void) {
    this.#defer = defer;
  }

  /** Bytes of all pages: what the slab really takes. */
  get pageBytes(): number {
    let bytes = 0;
    for (const page of [...this.#pages, ...this.#resting, ...this.#free]) bytes += page.bytes.length;
    return bytes;
  }

  /** Gives `owner` a range of `size` bytes to write to, now. */
  allocate(owner: RangeOwner, size: number): SlabRange {
    this.#compact(size);
    return this.#append(owner, size);
  }

  /** Takes an owner's range back; its bytes stay readable until the turn ends. */
  free(owner: RangeOwner): void {
    const { range } = owner;
    if (range === undefined) return;
    owner.range = undefined;
    // A page full of dead ranges must not keep their owners in memory.
    range.page.owners[range.place] = undefined;
    this.#release(range);
    if (range.page.liveBytes === 0 && range.page !== this.#open) this.#retire(range.page);
  }

  #release(range: SlabRange): void {
    const size = range.end - range.start;
    range.page.liveBytes -= size;
    this.#liveBytes -= size;
    this.#freed.push(range);
    this.#recycleLater();
  }

  #append(owner: RangeOwner, size: number): SlabRange {
    let page = this.#open;
    if (page === undefined || page.usedBytes + size > page.bytes.length) {
      if (page !== undefined && page.liveBytes === 0) this.#retire(page);
      page = this.#free.pop() ?? {
        bytes: Buffer.alloc(PAGE_BYTES),
        owners: [],
        usedBytes: 0,
        liveBytes: 0,
      };
      this.#pages.add(page);
      this.#open = page;
    }
    const start = page.usedBytes;
    page.usedBytes += size;
    page.liveBytes += size;
    const place = page.owners.push(owner) - 1;
    this.#usedBytes += size;
    this.#liveBytes += size;
    const range = new SlabRange(page, start, start + size, place);
    owner.range = range;
    return range;
  }

  /** Moves live ranges away from the emptiest page, in proportion to what is allocated. */
  #compact(allocatedBytes: number): void {
    if (this.#usedBytes - this.#liveBytes <= this.#usedBytes * DEAD_SHARE_MAX + PAGE_BYTES) return;
    this.#victim ??= this.#emptiest();
    const victim = this.#victim;
    if (victim === undefined) return;
    let budget = allocatedBytes * MOVED_PER_ALLOCATED;
    while (budget > 0 && this.#victim === victim) {
      const owner: RangeOwner | undefined = victim.owners[this.#victimNext++];
      const from: SlabRange | undefined = owner?.range;
      if (owner === undefined || from === undefined) continue;
      const size = from.end - from.start;
      const to = this.#append(owner, size);
      from.bytes.copy(to.bytes, to.start, from.start, from.end);
      this.#release(from);
      budget -= size;
      if (victim.liveBytes === 0) this.#retire(victim);
    }
  }

  #emptiest(): Page | undefined {
    let emptiest: Page | undefined;
    for (const page of this.#pages) {
      if (page === this.#open || page.liveBytes > page.usedBytes * WORTH_MOVING_SHARE) continue;
      if (emptiest === undefined || page.liveBytes < emptiest.liveBytes) emptiest = page;
    }
    this.#victimNext = 0;
    return emptiest;
  }

  #retire(page: Page): void {
    if (this.#victim === page) this.#victim = undefined;
    if (this.#open === page) this.#open = undefined;
    this.#pages.delete(page);
    this.#usedBytes -= page.usedBytes;
    page.usedBytes = 0;
    page.owners = [];
    this.#resting.push(page);
    this.#recycleLater();
  }

  #recycleLater(): void {
    if (this.#isRecycleDue) return;
    this.#isRecycleDue = true;
    this.#defer(() => this.#recycle());
  }

  #recycle(): void {
    this.#isRecycleDue = false;
    for (const range of this.#freed) range.erase();
    this.#freed = [];
    // A few are kept for the next pages to be opened; the rest go back to the system.
    for (const page of this.#resting) if (this.#free.length < FREE_PAGES_MAX) this.#free.push(page);
    this.#resting = [];
  }
}

/** One page; its fields belong to the slab. */
export interface Page {
  readonly bytes: Buffer;
  /** The owners of its ranges, in the order of their places; undefined for a freed range. */
  owners: (RangeOwner | undefined)[];
  usedBytes: number;
  liveBytes: number;
}

/** Holds three of the largest ranges, and hundreds of usual ones. */
export const PAGE_BYTES = 1024 * 1024;
/** More dead space than this is compacted. */
const DEAD_SHARE_MAX = 1 / 8;
/** A fuller page is not worth moving. */
const WORTH_MOVING_SHARE = 15 / 16;
/** Keeps up with freeing even if the emptiest page is seven eighths full. */
const MOVED_PER_ALLOCATED = 8;
const FREE_PAGES_MAX = 1;
/** What the slab takes besides its ranges: pages that are being filled, are being emptied, or wait. */
export const SLAB_RESERVE_BYTES = 3 * PAGE_BYTES;

/** What a range takes of pages, with the dead space that is tolerated and the end of a page where nothing fits. */
export function slabCost(size: number): number {
  const share = size > PAGE_BYTES / 16 ? Math.ceil(PAGE_BYTES / Math.floor(PAGE_BYTES / size)) : size + 16;
  return Math.ceil(share / (1 - DEAD_SHARE_MAX));
}
