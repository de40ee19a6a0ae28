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

/** The serialiser of such messages; bytes that are shared by many calls pass through. */
export function serializeOutgoing(message: Outgoing | Buffer): Buffer {
  return Buffer.isBuffer(message) ? message : message.encode();
}

/** The bytes of a message about to be sent, as far as they matter: other messages are small. */
export function outgoingBytes(message: unknown): number {
  const isSized = typeof message === "object" && message !== null && "byteLength" in message;
  return isSized && typeof message.byteLength === "number" ? message.byteLength : 0;
}

/** A batch on its way to a subscriber: the only kind of frame that is not tiny. */
export class BatchMessage implements Outgoing {
  /** Shared by all subscribers at the same place. */
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
