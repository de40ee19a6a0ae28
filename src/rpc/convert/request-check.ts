import { CacheError, type FieldViolation } from "../../core/model/errors.js";
import {
  BATCH_MAX,
  EPOCH_BYTES,
  ID_BYTES_MAX,
  NAME_BYTES_MAX,
  VIOLATIONS_MAX,
} from "../../core/model/limits.js";
import type { Epoch, EventId, Homeserver, Position, RoomId } from "../../core/model/types.js";
import type * as wire from "../../gen/splitcache/v1/event_cache_service.js";

/** The homeservers that requests may name. Undefined: any. */
export type AllowedHomeservers = ReadonlySet<string> | undefined;

/**
 * Converts one request. `convert` returns the core's form and notes each violation in
 * the check. If there is a violation, throws an `invalidArgument` error.
 */
export function checked<Request>(
  allowed: AllowedHomeservers,
  convert: (check: RequestCheck) => Request,
): Request {
  const check = new RequestCheck(allowed);
  const request = convert(check);
  check.throwIfAny();
  return request;
}

/** The problem of the name of a request's homeserver, or undefined. */
export function homeserverProblem(name: string, allowed: AllowedHomeservers): string | undefined {
  const problem = requiredTextProblem(name, NAME_BYTES_MAX);
  if (problem !== undefined || allowed?.has(name) !== false) return problem;
  return "is not among the homeservers that this server is configured for";
}

/**
 * Creates the branded types. Each method returns the core's form of a field and notes
 * its violations. A description never contains the client's data. A valid request
 * causes no allocation here.
 */
export class RequestCheck {
  readonly #allowed: AllowedHomeservers;
  #violations: FieldViolation[] | undefined;

  constructor(allowed: AllowedHomeservers) {
    this.#allowed = allowed;
  }

  /** Notes a violation, unless `problem` is undefined. Only the first VIOLATIONS_MAX are kept. */
  note(field: string, problem: string | undefined): void {
    if (problem === undefined) return;
    this.#violations ??= [];
    if (this.#violations.length < VIOLATIONS_MAX) this.#violations.push({ field, description: problem });
  }

  throwIfAny(): void {
    const first = this.#violations?.[0];
    if (this.#violations === undefined || first === undefined) return;
    throw new CacheError("invalidArgument", `${first.field} ${first.description}`, {
      violations: this.#violations,
    });
  }

  homeserver(name: string): Homeserver {
    this.note("homeserver", homeserverProblem(name, this.#allowed));
    return name as Homeserver;
  }

  eventId(field: string, id: string): EventId {
    this.note(field, requiredTextProblem(id, ID_BYTES_MAX));
    return id as EventId;
  }

  eventIds(field: string, ids: readonly string[]): readonly EventId[] {
    this.note(field, countProblem(ids.length, BATCH_MAX, "elements"));
    for (let index = 0; index < Math.min(ids.length, BATCH_MAX); index++) {
      const problem = requiredTextProblem(ids[index]!, ID_BYTES_MAX);
      if (problem !== undefined) this.note(`${field}[${index}]`, problem);
    }
    return ids as readonly EventId[];
  }

  roomId(field: string, id: string): RoomId {
    this.note(field, requiredTextProblem(id, ID_BYTES_MAX));
    return id as RoomId;
  }

  /** An empty value means absent. */
  optionalRoomId(field: string, id: string): RoomId | undefined {
    this.note(field, textProblem(id, ID_BYTES_MAX));
    return id === "" ? undefined : (id as RoomId);
  }

  position(field: string, position: wire.Position | undefined): Position {
    if (position === undefined) this.note(field, "is required");
    return this.optionalPosition(field, position) ?? NO_POSITION;
  }

  optionalPosition(field: string, position: wire.Position | undefined): Position | undefined {
    if (position === undefined) return undefined;
    const { epoch, sequence } = position;
    if (epoch.byteLength !== EPOCH_BYTES) {
      this.note(`${field}.epoch`, `must have ${EPOCH_BYTES} bytes, has ${epoch.byteLength}`);
    }
    return {
      epoch: epoch.toString("hex") as Epoch,
      // No log reaches the highest number, so what is cut to it still lies ahead of the log.
      sequence: sequence > SEQUENCE_MAX ? Number.MAX_SAFE_INTEGER : Number(sequence),
    };
  }
}

const SEQUENCE_MAX = BigInt(Number.MAX_SAFE_INTEGER);
/** The placeholder of a missing required position, until the request is refused. */
const NO_POSITION: Position = { epoch: "" as Epoch, sequence: 0 };

/** The problem of a text that must have 1 to `bytesMax` bytes of UTF-8, or undefined. */
export function requiredTextProblem(text: string, bytesMax: number): string | undefined {
  return text.length === 0 ? "is required" : textProblem(text, bytesMax);
}

/** The problem of an optional text, or undefined. */
export function textProblem(text: string, bytesMax: number): string | undefined {
  // A UTF-16 unit takes at most three bytes, so a short text need not be measured.
  return text.length * 3 <= bytesMax ? undefined : countProblem(Buffer.byteLength(text), bytesMax, "bytes");
}

/** The problem of a list or of bytes with at most `max` of `unit`, or undefined. */
export function countProblem(count: number, max: number, unit: "bytes" | "elements"): string | undefined {
  return count > max ? `must have at most ${max} ${unit}, has ${count}` : undefined;
}
