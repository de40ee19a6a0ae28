/**
 * The sizes of objects in the JavaScript heap, in bytes, rounded up. Measured with
 * bench/memory.ts on Node 20 and 24 (64-bit, no pointer compression). The counted
 * size must not be less than the real one, or the budget would be exceeded.
 */

/** A string: header and characters, two bytes each as soon as one is beyond latin1. */
export function stringBytes(text: string): number {
  return 24 + (BEYOND_LATIN1.test(text) ? 2 * text.length : text.length);
}

const BEYOND_LATIN1 = /[\u0100-\uffff]/;

/** A Buffer with memory of its own: its JavaScript objects and the runtime's bookkeeping. */
export const BUFFER_BYTES = 384;
/** An entry of a Map, including the slack of its doubling. */
export const MAP_SLOT_BYTES = 56;
/** An entry of a queue: one of a Map and one of each of five arrays. */
export const QUEUE_SLOT_BYTES = MAP_SLOT_BYTES + 64;

/**
 * The factor from counted heap bytes to the process's size. Garbage stays between
 * the live objects until the collector runs, which it does when the heap has grown
 * by some 15 % (process/heap-garbage.ts), and heap pages are never full.
 */
export function residentBytes(heapBytes: number): number {
  return Math.ceil(heapBytes * 1.25);
}
