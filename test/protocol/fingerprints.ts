/**
 * A set of texts that keeps 64 bits of each, in open addressing. Two different
 * texts are taken for one with a chance of n² / 2⁶⁵: at twenty million texts,
 * one in ninety thousand.
 */
export class Fingerprints {
  /** Two words a slot; both are 0 where it is free. */
  private slots = new Uint32Array(2 << 12);
  private mask = (1 << 12) - 1;
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** Adds a text; false if it was there. */
  add(text: string): boolean {
    const [low, high] = fingerprint(text);
    if (!this.insert(low, high)) return false;
    this.count += 1;
    if (this.count * 3 > this.mask * 2) this.grow();
    return true;
  }

  private insert(low: number, high: number): boolean {
    for (let slot = low & this.mask; ; slot = (slot + 1) & this.mask) {
      const word = this.slots[2 * slot]!;
      if (word === 0) {
        this.slots[2 * slot] = low;
        this.slots[2 * slot + 1] = high;
        return true;
      }
      if (word === low && this.slots[2 * slot + 1] === high) return false;
    }
  }

  private grow(): void {
    const { slots } = this;
    this.slots = new Uint32Array(2 * slots.length);
    this.mask = 2 * this.mask + 1;
    for (let at = 0; at < slots.length; at += 2) {
      if (slots[at] !== 0) this.insert(slots[at]!, slots[at + 1]!);
    }
  }
}

/** Two independent hashes of 32 bits (cyrb53 without its last step); the first is never 0. */
function fingerprint(text: string): readonly [low: number, high: number] {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    a = Math.imul(a ^ unit, 2654435761);
    b = Math.imul(b ^ unit, 1597334677);
    a ^= a >>> 15;
    b ^= b >>> 13;
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return [a >>> 0 || 1, b >>> 0];
}
