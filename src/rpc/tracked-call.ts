import { constants, type ServerHttp2Stream } from "node:http2";
import { ServerInterceptingCall, type ServerInterceptingCallInterface } from "@grpc/grpc-js";
import type { CacheError } from "../core/errors.js";
import type { Capacity } from "./admission/capacity.js";
import type { InFlight } from "./admission/in-flight.js";
import type { CallLabels, CallObserver } from "./call-observer.js";
import type { Drain } from "./drain.js";
import { http2StreamOf } from "./http2-stream.js";
import type { AllowedHomeservers } from "./request-check.js";
import { CLOSE_TIME_LIMIT_MS } from "./rpc-limits.js";
import { CANCELLED, toStatus } from "./status.js";

type Listener = Parameters<ServerInterceptingCallInterface["start"]>[0];
type Status = Parameters<ServerInterceptingCallInterface["sendStatus"]>[0];

/** What all calls of a server share. */
export interface CallContext {
  readonly inFlight: InFlight;
  readonly drain: Drain;
  readonly readStreams: Capacity;
  /** Subscribe calls from their headers on, so also those that have not sent their request yet. */
  readonly subscriptions: Capacity;
  readonly foreignCalls: Capacity;
  readonly foreignStreams: Capacity;
  readonly allowedHomeservers: AllowedHomeservers;
  readonly observer: CallObserver;
  readonly callTimeLimitMs: number;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
}

/**
 * A call from its headers until its HTTP/2 stream is closed, which is when its
 * memory is free: the layer between grpc-js and the handlers. Tells the observer
 * of it; what it is allowed to take is for the kinds of calls to say.
 */
export abstract class TrackedCall extends ServerInterceptingCall {
  protected readonly call: ServerInterceptingCallInterface;
  protected readonly context: CallContext;
  protected readonly stream: ServerHttp2Stream | undefined;
  protected readonly labels: CallLabels;
  readonly #startedAt: number;
  #statusCode: number | undefined;
  #closeTimer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(call: ServerInterceptingCallInterface, labels: CallLabels, context: CallContext) {
    super(call);
    this.call = call;
    this.context = context;
    this.stream = http2StreamOf(call);
    this.labels = labels;
    this.#startedAt = context.clock();
  }

  override start(listener: Listener): void {
    this.context.observer.started(this.labels);
    this.stream?.once("close", () => this.#end());
    const refusal = this.admit();
    if (refusal !== undefined) {
      this.refuse(refusal);
      return;
    }
    // grpc-js has paused the stream, so a second listener does not set it flowing.
    this.stream?.on("data", (bytes: Buffer) => {
      if (this.#statusCode === undefined) this.receivedBytes(bytes.byteLength);
    });
    this.call.start({
      onReceiveMetadata: (metadata) => listener.onReceiveMetadata(metadata),
      onReceiveMessage: (message) => this.#receiveMessage(message, listener),
      onReceiveHalfClose: () => {
        // A reset ends the request as well, without the client having meant it.
        if (this.#statusCode !== undefined || this.stream?.closed === true) return;
        this.receivedHalfClose();
        listener.onReceiveHalfClose();
      },
      onCancel: () => {
        listener.onCancel();
        if (this.stream === undefined) this.#end();
      },
    });
  }

  override sendStatus(status: Status): void {
    const stream = this.stream;
    const hasReplied = stream?.headersSent === true;
    this.#statusCode ??= status.code;
    this.call.sendStatus(status);
    if (stream === undefined || stream.readableEnded) return;
    // Lets go of what the client is still sending; a reset in the trailers' own turn would overtake them.
    const close = () => stream.close(constants.NGHTTP2_NO_ERROR);
    if (hasReplied) stream.once("wantTrailers", () => setImmediate(close));
    else close();
  }

  /** Takes what the call needs from the start; returns why it cannot be served, or undefined. */
  protected abstract admit(): CacheError | undefined;
  /** A part of a request has arrived. */
  protected abstract receivedBytes(bytes: number): void;
  /** A request is complete; returns why it cannot be served, or undefined. */
  protected abstract receivedMessage(message: unknown): CacheError | undefined;
  /** The client sends no more; handlers of single requests start only now. */
  protected receivedHalfClose(): void {}
  /** The call is over: gives back what it took. Comes once. */
  protected abstract release(): void;

  /** Ends the call with a failure. */
  protected refuse(error: CacheError): void {
    this.sendStatus(toStatus(error));
    this.#expectClose();
  }

  /** Ends the call and drops what the client has not read. */
  protected reset(): void {
    this.stream?.close(constants.NGHTTP2_CANCEL);
    this.#expectClose();
  }

  /** A stream that is told to close and does not has a peer that takes nothing, not even that. */
  #expectClose(): void {
    const stream = this.stream;
    if (stream === undefined) this.#end();
    else this.#closeTimer ??= setTimeout(() => stream.session?.destroy(), CLOSE_TIME_LIMIT_MS);
  }

  #receiveMessage(message: unknown, listener: Listener): void {
    if (this.#statusCode !== undefined) return;
    const refusal = this.receivedMessage(message);
    if (refusal === undefined) listener.onReceiveMessage(message);
    else this.refuse(refusal);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#closeTimer);
    this.release();
    const seconds = (this.context.clock() - this.#startedAt) / 1000;
    this.context.observer.handled(this.labels, this.#sentStatusCode(), seconds);
  }

  /** grpc-js ends some calls itself (deadlines, requests that are too large) and tells no interceptor. */
  #sentStatusCode(): number {
    if (this.stream === undefined) return this.#statusCode ?? CANCELLED;
    const { sentTrailers, sentHeaders } = this.stream;
    const sent = sentTrailers?.["grpc-status"] ?? sentHeaders?.["grpc-status"];
    return sent === undefined ? CANCELLED : Number(sent);
  }
}
