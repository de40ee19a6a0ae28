import type { Position } from "./types.js";

/** Positions of two epochs are never compared: one of another epoch is one that has not been reached. */
export function isBehind(position: Position, minPosition: Position | undefined): boolean {
  if (minPosition === undefined) return false;
  return minPosition.epoch !== position.epoch || minPosition.sequence > position.sequence;
}
