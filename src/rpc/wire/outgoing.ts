/**
 * A message whose bytes are written only when grpc-js serialises it, in the same
 * turn in which it is handed over, so that large replies need no memory of their own.
 */
export interface Outgoing {
  /** How many bytes `encode` returns. */
  readonly byteLength: number;
  /** The bytes, valid until the next message is encoded: grpc-js copies them at once. */
  encode(): Buffer;
}

/** The serialiser of such messages. Bytes that many calls share are passed through. */
export function serializeOutgoing(message: Outgoing | Buffer): Buffer {
  return Buffer.isBuffer(message) ? message : message.encode();
}

/** The size of a message to be sent. 0 for messages that are always small. */
export function outgoingBytes(message: unknown): number {
  const isSized = typeof message === "object" && message !== null && "byteLength" in message;
  return isSized && typeof message.byteLength === "number" ? message.byteLength : 0;
}

/** A batch for a subscriber, the only large kind of frame. */
export class BatchMessage implements Outgoing {
  /** Shared by all subscribers at the same position. */
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get byteLength(): number {
    return this.#bytes.byteLength;
  }

  encode(): Buffer {
    return this.#bytes;
  }
}
