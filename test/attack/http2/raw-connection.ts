import { connect, type Socket } from "node:net";
import * as frames from "./frames.js";
import { RawCall, WINDOW_STEP_BYTES } from "./raw-call.js";

export interface RawConnectionOptions {
  /** What the server may send of each call before its window is enlarged. */
  readonly initialWindowBytes?: number;
  /** Is given each complete message of a reply. */
  readonly onMessage?: (call: RawCall, message: Buffer) => void;
}

const WINDOW_BYTES_DEFAULT = 65_535;
const WINDOW_BYTES_MAX = 2 ** 31 - 1;

const LOST = { status: undefined, resetCode: undefined, isLost: true } as const;

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
    // The server closes connections: a half-open one cannot be used.
    socket.on("end", () => socket.destroy());
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#isGone = true;
        for (const call of this.#calls.values()) call.ended(LOST);
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

  /** What hinders the calls that have not ended, the oldest first, for the report of a fault. */
  openCallStates(): string[] {
    return [...this.#calls.values()].map(({ state, tag }) => {
      const kind = typeof tag === "object" && tag !== null && "kind" in tag ? tag.kind : "";
      return `${kind}: ${state}`;
    });
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
    if (this.isGone || this.#goawayCode !== undefined) call.ended(LOST);
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
    if (this.#goawayCode !== undefined && this.#calls.size === 0) this.socket.destroy();
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
        this.#goaway(payload.readUInt32BE(0), payload.readUInt32BE(4));
        break;
      case frames.WINDOW_UPDATE:
        this.#raise(id, call, payload.readUInt32BE(0));
        break;
    }
  }

  /** The server takes no more calls than it has seen; those it answers, then the connection is over. */
  #goaway(lastId: number, code: number): void {
    this.#goawayCode = code;
    for (const call of this.#calls.values()) if (call.id > lastId) call.ended(LOST);
    if (this.#calls.size === 0) this.socket.destroy();
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
