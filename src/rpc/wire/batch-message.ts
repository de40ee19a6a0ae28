import type { Outgoing } from "./outgoing.js";

/** A batch on its way to a subscriber: the one kind of frame that is not tiny. */
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
