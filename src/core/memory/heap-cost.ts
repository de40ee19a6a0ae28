/**
 * What things cost in the JavaScript heap, in bytes, rounded up. Measured with
 * bench/memory.ts on Node 20 and 24 (64-bit, no pointer compression); what is
 * counted must be no less than what is used, or the budget is not kept.
 */

/** A string: header and characters, two bytes each as soon as one is beyond latin1. */
export function stringBytes(text: string): number {
  return 24 + (BEYOND_LATIN1.test(text) ? 2 * text.length : text.length);
}

const BEYOND_LATIN1 = /[\u0100-\uffff]/;

/** A Buffer with memory of its own: its JavaScript objects and what the runtime keeps beside them. */
export const BUFFER_BYTES = 384;
/** A place in a Map, with the slack of its doubling. */
export const MAP_SLOT_BYTES = 56;
/** A place in a bounded cache: a Map's, and five arrays'. */
export const CACHE_SLOT_BYTES = MAP_SLOT_BYTES + 64;

/**
 * What bytes counted in the heap make the process larger by: garbage lies between
 * them until the collector has run, which it does when the heap has grown by
 * some 15 % (main.ts), and its pages are never quite full.
 */
export function residentBytes(heapBytes: number): number {
  return Math.ceil(heapBytes * 1.25);
}
