import { BinaryReader } from "@bufbuild/protobuf/wire";
import { CacheError } from "../../core/model/errors.js";
import { NOT_PROTOBUF } from "../calls/refusals.js";
import { findFault } from "./faulty-field.js";
import { isWellFormed, type MessageShape } from "./wire-shape.js";

/** A decoded request: the message, or the reason why it is malformed. */
export type Decoded<Message> =
  | { readonly ok: true; readonly message: Message; readonly byteLength: number }
  | { readonly ok: false; readonly error: CacheError; readonly byteLength: number };

/** The part of a generated message type that decoding needs. */
interface MessageType<Message> {
  decode(input: BinaryReader): Message;
}

/**
 * Creates the deserialiser of a message. It refuses malformed messages and strings
 * that are not UTF-8, which would make different IDs equal. It returns the refusal,
 * since grpc-js answers INTERNAL if a deserialiser throws.
 */
export function strictDecoder<Message>(
  type: MessageType<Message>,
  shape: MessageShape,
): (bytes: Buffer) => Decoded<Message> {
  return (bytes) => {
    const byteLength = bytes.byteLength;
    if (!isWellFormed(bytes, shape)) {
      return { ok: false, byteLength, error: refusal(bytes, shape, NOT_PROTOBUF) };
    }
    try {
      return { ok: true, byteLength, message: type.decode(new StrictReader(bytes)) };
    } catch (cause) {
      const problem = "contains a string that is not UTF-8 or a number out of range";
      return { ok: false, byteLength, error: refusal(bytes, shape, problem, cause) };
    }
  };
}

/** `otherwise` describes a fault that has no description of its own. */
function refusal(bytes: Buffer, shape: MessageShape, otherwise: string, cause?: unknown): CacheError {
  const { field, problem: description = otherwise } = findFault(bytes, shape);
  const violations = [{ field, description }];
  return new CacheError("invalidArgument", `${field} ${description}`, { violations, cause });
}

const REPLACEMENT_CHARACTER = "\uFFFD";
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads strings without a view for each. The bounds were checked before. */
class StrictReader extends BinaryReader {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    super(bytes);
    this.#bytes = bytes;
  }

  override string(): string {
    const length = this.uint32();
    const start = this.pos;
    this.pos += length;
    const text = this.#bytes.toString("utf8", start, this.pos);
    // Every invalid sequence became a replacement character; a real one is rare enough to decode twice.
    return text.includes(REPLACEMENT_CHARACTER)
      ? strictUtf8.decode(this.#bytes.subarray(start, this.pos))
      : text;
  }
}
