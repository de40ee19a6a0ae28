import { fieldBytes, writeFieldHead } from "../../core/memory/encoded-event.js";
import { isUnredactable } from "../../core/model/event-state.js";
import { EPOCH_BYTES, REPLY_BYTES_MAX } from "../../core/model/limits.js";
import type { ReadRequest } from "../../core/model/store.js";
import type { Position, ReadResult } from "../../core/model/types.js";
import { cachedEventBytes, writeCachedEvent, writeTextField } from "./event-encoder.js";
import type { Outgoing } from "./outgoing.js";

/** GetEventsResponse's fields, Position's, and GetEventsStreamResponse's. */
const EVENTS_TAG = 0x0a;
const MISSING_EVENT_IDS_TAG = 0x12;
const TRUNCATED_EVENT_IDS_TAG = 0x1a;
const POSITION_TAG = 0x22;
const EPOCH_TAG = 0x0a;
const SEQUENCE_TAG = 0x10;
const REQUEST_ID_TAG = 0x08;
const RESPONSE_TAG = 0x12;

/** The overhead of a reply on a read stream: two tags, a uint64 and a length. */
const STREAM_HEAD_BYTES_MAX = 1 + 10 + 1 + 4;
/** In `sizes`: the event is missing. */
const MISSING = -1;

/**
 * The reply to a read. It is planned when the lookup is done and written in the
 * same turn, straight from the store's memory, and never has more than
 * REPLY_BYTES_MAX bytes: the first hit that does not fit and every later one are
 * named as truncated.
 */
export function getEventsReply(request: ReadRequest, result: ReadResult): Outgoing {
  const plan = planReply(request, result, REPLY_BYTES_MAX);
  return {
    byteLength: plan.byteLength,
    encode: () => {
      const scratch = scratchBuffer();
      return scratch.subarray(0, writeReply(scratch, 0, plan));
    },
  };
}

/** The same with its request_id, as a message of a read stream. */
export function streamedReply(requestId: bigint, request: ReadRequest, result: ReadResult): Outgoing {
  const plan = planReply(request, result, REPLY_BYTES_MAX - STREAM_HEAD_BYTES_MAX);
  const requestIdBytes = requestId === 0n ? 0 : 1 + varint64Bytes(requestId);
  return {
    byteLength: requestIdBytes + fieldBytes(plan.byteLength),
    encode: () => {
      const scratch = scratchBuffer();
      let at = 0;
      if (requestId !== 0n) {
        scratch[at++] = REQUEST_ID_TAG;
        at = writeVarint64(scratch, at, requestId);
      }
      at = writeFieldHead(scratch, at, RESPONSE_TAG, plan.byteLength);
      return scratch.subarray(0, writeReply(scratch, at, plan));
    },
  };
}

interface ReplyPlan {
  readonly request: ReadRequest;
  readonly result: ReadResult;
  /** For each requested ID the bytes of its CachedEvent, or MISSING. */
  readonly sizes: readonly number[];
  /** Hits from this index on are truncated. */
  readonly truncatedFrom: number;
  readonly byteLength: number;
}

function planReply(request: ReadRequest, result: ReadResult, bytesMax: number): ReplyPlan {
  const { eventIds, view } = request;
  const { events, position } = result;
  const sizes = new Array<number>(events.length);
  let byteLength = positionFieldBytes(position);
  for (let index = 0; index < events.length; index++) {
    const event = events[index];
    if (event !== undefined && (view === "original" || !isUnredactable(event.state))) {
      const size = cachedEventBytes(event, view);
      sizes[index] = size;
      byteLength += fieldBytes(size);
    } else {
      sizes[index] = MISSING;
      byteLength += textFieldBytes(eventIds[index]!);
    }
  }
  const plan = { request, result, sizes, truncatedFrom: events.length, byteLength };
  return byteLength <= bytesMax ? plan : truncate(plan, bytesMax);
}

/** Keeps the longest prefix of hits that fits together with the IDs of all other hits. */
function truncate(plan: ReplyPlan, bytesMax: number): ReplyPlan {
  const { request, result, sizes } = plan;
  let byteLength = positionFieldBytes(result.position);
  for (const eventId of request.eventIds) byteLength += textFieldBytes(eventId);
  for (let index = 0; index < sizes.length; index++) {
    if (sizes[index] === MISSING) continue;
    const growth = fieldBytes(sizes[index]!) - textFieldBytes(request.eventIds[index]!);
    if (byteLength + growth > bytesMax) return { ...plan, truncatedFrom: index, byteLength };
    byteLength += growth;
  }
  return { ...plan, byteLength };
}

function writeReply(target: Buffer, start: number, plan: ReplyPlan): number {
  const { request, result, sizes, truncatedFrom } = plan;
  const { eventIds, view } = request;
  let at = start;
  for (let index = 0; index < truncatedFrom; index++) {
    const size = sizes[index]!;
    if (size === MISSING) continue;
    at = writeFieldHead(target, at, EVENTS_TAG, size);
    at = writeCachedEvent(target, at, result.events[index]!, view);
  }
  for (let index = 0; index < sizes.length; index++) {
    if (sizes[index] === MISSING) at = writeTextField(target, at, MISSING_EVENT_IDS_TAG, eventIds[index]!);
  }
  for (let index = truncatedFrom; index < sizes.length; index++) {
    if (sizes[index] !== MISSING) at = writeTextField(target, at, TRUNCATED_EVENT_IDS_TAG, eventIds[index]!);
  }
  return writePosition(target, at, result.position);
}

function textFieldBytes(text: string): number {
  return fieldBytes(Buffer.byteLength(text));
}

/** While the store is unverified a reply has no position. */
function positionFieldBytes(position: Position | undefined): number {
  return position === undefined ? 0 : fieldBytes(positionBytes(position));
}

function positionBytes(position: Position): number {
  const sequenceBytes = position.sequence === 0 ? 0 : 1 + varint64Bytes(BigInt(position.sequence));
  return fieldBytes(EPOCH_BYTES) + sequenceBytes;
}

function writePosition(target: Buffer, start: number, position: Position | undefined): number {
  if (position === undefined) return start;
  let at = writeFieldHead(target, start, POSITION_TAG, positionBytes(position));
  at = writeFieldHead(target, at, EPOCH_TAG, EPOCH_BYTES);
  at += target.write(position.epoch, at, "hex");
  if (position.sequence === 0) return at;
  target[at++] = SEQUENCE_TAG;
  return writeVarint64(target, at, BigInt(position.sequence));
}

/** The size of a uint64 as a varint. */
function varint64Bytes(value: bigint): number {
  let bytes = 1;
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) bytes += 1;
  return bytes;
}

/** Writes a uint64 as a varint and returns its end. */
function writeVarint64(target: Buffer, start: number, value: bigint): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80n) {
    target[at++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  target[at++] = Number(rest);
  return at;
}

/**
 * One buffer for all replies, made at the first: allocating each reply's would
 * cost more than writing it. A reply is copied out of it before the next begins.
 */
let scratch: Buffer | undefined;

function scratchBuffer(): Buffer {
  scratch ??= Buffer.allocUnsafeSlow(REPLY_BYTES_MAX);
  return scratch;
}
