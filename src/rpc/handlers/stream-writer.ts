import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import type { CacheError } from "../../core/model/errors.js";
import { traceOf } from "../calls/call-trace.js";
import { type RpcLogger, toCacheError, toStatus } from "../status.js";

type StreamingCall<Message> = ServerWritableStream<unknown, Message> | ServerDuplexStream<unknown, Message>;

/** The writing side of a streaming call: one message at a time, until the client has gone. */
export class StreamWriter<Message> {
  readonly #call: StreamingCall<Message>;
  readonly #logger: RpcLogger;
  readonly #gone = new AbortController();
  #stopWaiting: (() => void) | undefined;

  constructor(call: StreamingCall<Message>, logger: RpcLogger) {
    this.#call = call;
    this.#logger = logger;
    const leave = () => this.#leave();
    call.once("cancelled", leave);
    call.once("close", leave);
    if (call.cancelled) leave();
  }

  /** Aborts when the client has gone or the call is over. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Resolves when the message was sent or the client has gone: then there is no write callback. */
  write(message: Message): Promise<void> {
    return new Promise((resolve) => {
      if (this.#gone.signal.aborted) {
        resolve();
        return;
      }
      this.#stopWaiting = resolve;
      this.#call.write(message, () => resolve());
    });
  }

  /** Ends the call with OK, or with the status of the failure of its work. */
  async finish(work: Promise<void>): Promise<void> {
    try {
      await work;
      this.#call.end();
    } catch (error) {
      this.fail(toCacheError(error, this.#logger, traceOf(this.#call.metadata)));
    }
  }

  /** Ends the call with a failure, even if its work continues. */
  fail(failure: CacheError): void {
    if (this.#gone.signal.aborted) return;
    this.#call.emit("error", toStatus(failure));
    this.#leave();
  }

  #leave(): void {
    this.#gone.abort();
    this.#stopWaiting?.();
  }
}

/** Writes messages one after the other, each when the one before has left. */
export class SerialWrites<M> {
  readonly #writer: StreamWriter<M>;
  #last: Promise<void> = Promise.resolve();
  /** Messages that have not left. */
  pending = 0;

  constructor(writer: StreamWriter<M>) {
    this.#writer = writer;
  }

  /** Resolves when the message has left. `onWritten` is called in the same turn. */
  async write(message: M, onWritten: () => void): Promise<void> {
    const before = this.#last;
    const isFirst = this.pending === 0;
    this.pending += 1;
    let written: () => void = () => {};
    this.#last = new Promise((resolve) => {
      written = resolve;
    });
    try {
      if (!isFirst) await before;
      await this.#writer.write(message);
      onWritten();
    } finally {
      this.pending -= 1;
      written();
    }
  }
}
