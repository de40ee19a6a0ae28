import { InvalidArgumentError } from "commander";
import { EPOCH_BYTES } from "../../core/model/limits.js";
import type { Duration } from "../../gen/google/protobuf/duration.js";
import type { Position } from "../../gen/splitcache/v1/event_cache_service.js";

/** Positions, epochs, outcomes and durations of the contract, as the command line writes them. */

const POSITION = new RegExp(`^([0-9a-f]{${2 * EPOCH_BYTES}}):(\\d+)$`);

/** Reads what `formatPosition` writes; a flag's parser. */
export function parsePosition(text: string): Position {
  const [, epoch, sequence] = POSITION.exec(text) ?? [];
  if (epoch === undefined || sequence === undefined) {
    throw new InvalidArgumentError("Expected a position as get prints it: <epoch>:<sequence>.");
  }
  return { epoch: Buffer.from(epoch, "hex"), sequence: BigInt(sequence) };
}

/** A position in one word: the epoch in hexadecimal digits, a colon, the sequence number. */
export function formatPosition(position: Position | undefined): string {
  return position === undefined ? "none" : `${epochText(position)}:${position.sequence}`;
}

/** The epoch alone, in hexadecimal digits. */
function epochText(position: Position): string {
  return Buffer.from(position.epoch).toString("hex");
}

/** The name of an enum's value, in lower case. */
export function outcomeName(values: Readonly<Record<string, unknown>>, value: number | undefined): string {
  const name = Object.keys(values).find((name) => values[name] === value);
  return name?.toLowerCase() ?? "unknown";
}

/** The milliseconds of a duration; 0 if it is absent. */
export function durationMs(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) * 1000 + Math.floor(duration.nanos / 1e6);
}
