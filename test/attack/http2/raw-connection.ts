import { connect, type Socket } from "node:net";
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

export interface RawConnectionOptions {
  /** What the server may send of each call before it is told to go on. */
  readonly initialWindowBytes?: number;
  /** Is given each complete message of a reply. */
  readonly onMessage?: (call: RawCall, message: Buffer) => void;
}

const WINDOW_BYTES_DEFAULT = 65_535;
const WINDOW_BYTES_MAX = 2 ** 31 - 1;
/** The window of the connection is raised again when so much of it was used. */
const WINDOW_STEP_BYTES = 2 ** 20;
const MESSAGE_HEAD_BYTES = 5;

/**
 * An HTTP/2 connection that sends whatever it is given. It keeps to the server's
 * windows for what goes through `RawCall.data`, and collects what is sent in one
 * turn of the event loop into one write: a call costs some microseconds.
 */
export class RawConnection {
  readonly socket: Socket;
  readonly #onMessage: (call: RawCall, message: Buffer) => void;
  readonly #calls = new Map<number, RawCall>();
  readonly closed: Promise<void>;
  #nextId = 1;
  #out: Buffer[] = [];
  #rest: Buffer = frames.NO_BYTES;
  #received = 0;
  #window = WINDOW_BYTES_DEFAULT;
  #streamWindow = WINDOW_BYTES_DEFAULT;
  readonly #blocked = new Set<RawCall>();
  #goawayCode: number | undefined;
  #isGone = false;

  private constructor(
    socket: Socket,
    { initialWindowBytes = WINDOW_BYTES_MAX, onMessage = () => {} }: RawConnectionOptions,
  ) {
    this.socket = socket;
    this.#onMessage = onMessage;
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    // The server closes connections: a half-open one is of no use.
    socket.on("end", () => socket.destroy());
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#isGone = true;
        for (const call of this.#calls.values())
          call.ended({ status: undefined, resetCode: undefined, isLost: true });
        this.#calls.clear();
        this.#blocked.clear();
        resolve();
      });
    });
    this.write(frames.hello(initialWindowBytes));
    if (initialWindowBytes === WINDOW_BYTES_MAX)
      this.write(frames.windowUpdate(0, WINDOW_BYTES_MAX - WINDOW_BYTES_DEFAULT));
  }

  static open(port: number, options: RawConnectionOptions = {}): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new RawConnection(socket, options));
      });
    });
  }

  get isGone(): boolean {
    return this.#isGone || this.socket.destroyed;
  }

  /** The code with which the server has ended the connection. */
  get goawayCode(): number | undefined {
    return this.#goawayCode;
  }

  get openCalls(): number {
    return this.#calls.size;
  }

  /** What may be sent now of all requests together. */
  get window(): number {
    return this.#window;
  }

  /** The number that the next call will have. */
  get nextId(): number {
    return this.#nextId;
  }

  /** Sends bytes as they are, at the end of this turn. */
  write(bytes: Buffer): void {
    if (this.isGone) return;
    if (this.#out.length === 0) setImmediate(() => this.#flush());
    this.#out.push(bytes);
  }

  /** Begins a call with a header block. */
  call(block: Buffer, { isEnd = false, tag }: { isEnd?: boolean; tag?: unknown } = {}): RawCall {
    const id = this.#nextId;
    this.#nextId += 2;
    const call = new RawCall(this, id, this.#streamWindow, tag);
    if (this.isGone) call.ended({ status: undefined, resetCode: undefined, isLost: true });
    else {
      this.#calls.set(id, call);
      this.write(frames.headers(id, block, isEnd));
    }
    return call;
  }

  /** Closes the connection without a word. */
  destroy(): void {
    this.socket.destroy();
  }

  /** For the calls of this connection: takes from the window of all of them. */
  takeWindow(call: RawCall, wanted: number): number {
    const taken = Math.max(0, Math.min(wanted, this.#window));
    this.#window -= taken;
    if (taken < wanted) this.#blocked.add(call);
    return taken;
  }

  blocked(call: RawCall): void {
    this.#blocked.add(call);
  }

  forget(call: RawCall): void {
    this.#calls.delete(call.id);
    this.#blocked.delete(call);
  }

  #flush(): void {
    const out = this.#out;
    this.#out = [];
    if (!this.isGone) this.socket.write(out.length === 1 ? out[0]! : Buffer.concat(out));
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= frames.FRAME_HEAD_BYTES) {
      const end = at + frames.FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const payload = bytes.subarray(at + frames.FRAME_HEAD_BYTES, end);
      this.#frame(bytes[at + 3]!, bytes[at + 4]!, bytes.readUInt32BE(at + 5), payload);
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    const call = this.#calls.get(id);
    switch (type) {
      case frames.DATA:
        this.#received += payload.length;
        if (this.#received >= WINDOW_STEP_BYTES) {
          this.write(frames.windowUpdate(0, this.#received));
          this.#received = 0;
        }
        call?.received(payload, this.#onMessage);
        if (call !== undefined && (flags & frames.END_STREAM) !== 0) call.endedByServer();
        break;
      case frames.HEADERS:
        call?.receivedStatus(frames.readStatus(payload).grpcStatus);
        if (call !== undefined && (flags & frames.END_STREAM) !== 0) call.endedByServer();
        break;
      case frames.RST_STREAM:
        call?.endedByServer(payload.readUInt32BE(0));
        break;
      case frames.SETTINGS:
        if ((flags & frames.ACK) === 0) this.#settings(payload);
        break;
      case frames.PING:
        if ((flags & frames.ACK) === 0) this.write(frames.frame(frames.PING, frames.ACK, 0, payload));
        break;
      case frames.GOAWAY:
        this.#goawayCode = payload.readUInt32BE(4);
        break;
      case frames.WINDOW_UPDATE:
        this.#raise(id, call, payload.readUInt32BE(0));
        break;
    }
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      // SETTINGS_INITIAL_WINDOW_SIZE
      if (payload.readUInt16BE(at) !== 4) continue;
      const size = payload.readUInt32BE(at + 2);
      for (const call of this.#calls.values()) call.raise(size - this.#streamWindow);
      this.#streamWindow = size;
    }
    this.write(frames.frame(frames.SETTINGS, frames.ACK, 0));
  }

  #raise(id: number, call: RawCall | undefined, bytes: number): void {
    if (id !== 0) {
      call?.raise(bytes);
      return;
    }
    this.#window += bytes;
    for (const blocked of [...this.#blocked]) {
      this.#blocked.delete(blocked);
      blocked.pump();
    }
  }
}

/** One call: what is still to be sent of it, and what came. */
export class RawCall {
  readonly id: number;
  /** Whatever the caller wants to find again when a message comes. */
  readonly tag: unknown;
  readonly end: Promise<CallEnd>;
  messages = 0;
  readonly connection: RawConnection;
  #resolve: (end: CallEnd) => void = () => {};
  #window: number;
  #pending: { bytes: Buffer; isEnd: boolean }[] = [];
  #status: number | undefined;
  #partial: Buffer = frames.NO_BYTES;
  #isOver = false;
  readonly #startedAt = performance.now();
  /** The window of this call is raised when so much of it was used. */
  #unacknowledged = 0;

  constructor(connection: RawConnection, id: number, window: number, tag: unknown) {
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
