import { InvalidArgumentError } from "commander";
import { EPOCH_BYTES } from "../../core/model/limits.js";
import type { Position } from "../../gen/splitcache/v1/event_cache_service.js";

const PATTERN = new RegExp(`^([0-9a-f]{${2 * EPOCH_BYTES}}):(\\d+)$`);

/** Parses what `formatPosition` writes; a commander argument parser. */
export function parsePosition(text: string): Position {
  const [, epoch, sequence] = PATTERN.exec(text) ?? [];
  if (epoch === undefined || sequence === undefined) {
    throw new InvalidArgumentError("Expected a position such as get prints it: <epoch>:<sequence>.");
  }
  return { epoch: Buffer.from(epoch, "hex"), sequence: BigInt(sequence) };
}

/** A position in one word: the epoch in hexadecimal digits, a colon, the sequence number. */
export function formatPosition(position: Position | undefined): string {
  return position === undefined ? "none" : `${epochText(position)}:${position.sequence}`;
}

/** The epoch alone, in hexadecimal digits. */
export function epochText(position: Position): string {
  return Buffer.from(position.epoch).toString("hex");
}
