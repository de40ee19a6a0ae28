import type { Position } from "./types.js";

/** Whether `position` has been reached. Positions of two epochs are never compared: the answer is then false. */
export function isBehind(position: Position, minPosition: Position | undefined): boolean {
  if (minPosition === undefined) return false;
  return minPosition.epoch !== position.epoch || minPosition.sequence > position.sequence;
}
