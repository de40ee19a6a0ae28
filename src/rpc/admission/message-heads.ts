/** What a piece of a request, as it arrived, holds of gRPC's messages. */
export interface Arrival {
  readonly bytes: number;
  /** Messages whose last byte is in it. */
  readonly messages: number;
  /** The length of the longest message whose head ended in it; 0: no head did. */
  readonly largestBytes: number;
  /** A message that begins in it is marked as compressed. */
  readonly isCompressed: boolean;
  /** The middle of one message: it neither begins nor ends one. */
  readonly isMiddle: boolean;
  /** A message has begun and not ended. */
  readonly isInside: boolean;
}

/** The head that gRPC puts before each message: a flag and the length. */
export const MESSAGE_HEAD_BYTES = 5;

/** Follows where messages begin and end in the bytes of a request. */
export class MessageHeads {
  #headBytes = 0;
  #length = 0;
  #missingBytes = 0;

  /** A message has begun and not ended. */
  get isInside(): boolean {
    return this.#headBytes > 0;
  }

  /** Reads the next bytes of the request. */
  read(bytes: Uint8Array): Arrival {
    const wasInside = this.isInside;
    let messages = 0;
    let largestBytes = 0;
    let isCompressed = false;
    let at = 0;
    while (at < bytes.length) {
      if (this.#headBytes === 0) {
        isCompressed ||= bytes[at] !== 0;
        this.#length = 0;
        this.#headBytes = 1;
        at += 1;
      } else if (this.#headBytes < MESSAGE_HEAD_BYTES) {
        this.#length = this.#length * 256 + bytes[at]!;
        this.#headBytes += 1;
        at += 1;
        if (this.#headBytes < MESSAGE_HEAD_BYTES) continue;
        this.#missingBytes = this.#length;
        largestBytes = Math.max(largestBytes, this.#length);
      } else {
        const taken = Math.min(this.#missingBytes, bytes.length - at);
        this.#missingBytes -= taken;
        at += taken;
      }
      if (this.#headBytes === MESSAGE_HEAD_BYTES && this.#missingBytes === 0) {
        messages += 1;
        this.#headBytes = 0;
      }
    }
    const isMiddle = wasInside && messages === 0;
    return { bytes: bytes.length, messages, largestBytes, isCompressed, isMiddle, isInside: this.isInside };
  }
}
