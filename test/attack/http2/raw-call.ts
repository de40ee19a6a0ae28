import * as frames from "./frames.js";

/** How a call ended. */
export interface CallEnd {
  /** The gRPC status that came; undefined: none did. */
  readonly status: number | undefined;
  /** The code with which the server reset the call. */
  readonly resetCode: number | undefined;
  /** The connection was gone before the call had ended. */
  readonly isLost: boolean;
}

/** The connection of a call, as the call uses it. */
export interface CallConnection {
  readonly isGone: boolean;
  /** The code with which the server has ended it. */
  readonly goawayCode: number | undefined;
  /** What may be sent now of all its requests together. */
  readonly window: number;
  write(bytes: Buffer): void;
  /** Takes from the window as much as there is of what is wanted. */
  takeWindow(call: RawCall, wanted: number): number;
  /** The call goes on when the window was raised. */
  blocked(call: RawCall): void;
  forget(call: RawCall): void;
}

const MESSAGE_HEAD_BYTES = 5;
/** A window is raised again when so much of it was used. */
export const WINDOW_STEP_BYTES = 2 ** 20;

/** One call: what is still to be sent of it, and what came. */
export class RawCall {
  readonly id: number;
  /** Whatever the caller wants to find again when a message comes. */
  readonly tag: unknown;
  readonly end: Promise<CallEnd>;
  messages = 0;
  readonly connection: CallConnection;
  #resolve: (end: CallEnd) => void = () => {};
  #window: number;
  #pending: { bytes: Buffer; isEnd: boolean }[] = [];
  #status: number | undefined;
  #partial: Buffer = frames.NO_BYTES;
  #isOver = false;
  readonly #startedAt = performance.now();
  /** The window of this call is raised when so much of it was used. */
  #unacknowledged = 0;

  constructor(connection: CallConnection, id: number, window: number, tag: unknown) {
    this.connection = connection;
    this.id = id;
    this.#window = window;
    this.tag = tag;
    this.end = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** What hinders it, for the report of a fault. */
  get state(): string {
    const unsent = this.#pending.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const ms = Math.round(performance.now() - this.#startedAt);
    return `call ${this.id}, ${ms} ms old, ${unsent} bytes unsent, window ${this.#window}, of the connection ${this.connection.window}`;
  }

  /** Sends a part of the request as the windows allow. */
  data(bytes: Buffer, isEnd = false): void {
    if (this.#isOver) return;
    this.#pending.push({ bytes, isEnd });
    this.pump();
  }

  reset(code: number): void {
    if (this.#isOver) return;
    this.connection.write(frames.reset(this.id, code));
    this.ended({ status: this.#status, resetCode: undefined, isLost: false });
  }

  /** Sends what the windows allow by now. */
  pump(): void {
    while (this.#pending.length > 0 && !this.#isOver) {
      const [first] = this.#pending;
      const { bytes, isEnd } = first!;
      const wanted = Math.min(bytes.length, frames.FRAME_BYTES_MAX, Math.max(0, this.#window));
      const size = this.connection.takeWindow(this, wanted);
      if (size === 0 && bytes.length > 0) {
        this.connection.blocked(this);
        return;
      }
      this.#window -= size;
      const isWhole = size === bytes.length;
      const flags = isWhole && isEnd ? frames.END_STREAM : 0;
      this.connection.write(frames.frame(frames.DATA, flags, this.id, bytes.subarray(0, size)));
      if (isWhole) this.#pending.shift();
      else first!.bytes = bytes.subarray(size);
    }
  }

  raise(bytes: number): void {
    this.#window += bytes;
    this.pump();
  }

  received(payload: Buffer, onMessage: (call: RawCall, message: Buffer) => void): void {
    this.#unacknowledged += payload.length;
    if (this.#unacknowledged >= WINDOW_STEP_BYTES) {
      this.connection.write(frames.windowUpdate(this.id, this.#unacknowledged));
      this.#unacknowledged = 0;
    }
    const bytes = this.#partial.length === 0 ? payload : Buffer.concat([this.#partial, payload]);
    let at = 0;
    while (bytes.length - at >= MESSAGE_HEAD_BYTES) {
      const end = at + MESSAGE_HEAD_BYTES + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) break;
      this.messages += 1;
      onMessage(this, bytes.subarray(at + MESSAGE_HEAD_BYTES, end));
      at = end;
    }
    this.#partial = bytes.subarray(at);
  }

  receivedStatus(status: number | undefined): void {
    this.#status = status ?? this.#status;
  }

  endedByServer(resetCode?: number): void {
    this.ended({ status: this.#status, resetCode, isLost: false });
  }

  ended(end: CallEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.connection.forget(this);
    this.#resolve(end);
  }
}

/** Puts gRPC's head before a message. */
export function framed(message: Buffer, flag = 0, length = message.length): Buffer {
  const bytes = Buffer.allocUnsafe(MESSAGE_HEAD_BYTES + message.length);
  bytes[0] = flag;
  bytes.writeUInt32BE(length, 1);
  message.copy(bytes, MESSAGE_HEAD_BYTES);
  return bytes;
}
