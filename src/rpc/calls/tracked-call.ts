import { constants, type ServerHttp2Stream } from "node:http2";
import { Metadata, ServerInterceptingCall, type ServerInterceptingCallInterface } from "@grpc/grpc-js";
import type { CacheError } from "../../core/model/errors.js";
import type { Capacity, Holder } from "../admission/capacity.js";
import type { Drain } from "../admission/drain.js";
import type { Gate, IncomingCall } from "../admission/gate.js";
import { IDENTITY } from "../admission/header-check.js";
import type { InFlight } from "../admission/in-flight.js";
import type { Arrival } from "../admission/message-heads.js";
import type { AllowedHomeservers } from "../convert/request-check.js";
import { CLOSE_TIME_LIMIT_MS } from "../limits.js";
import { CANCELLED, toStatus } from "../status.js";
import { setConnection } from "./call-connection.js";
import type { CallLabels, CallObserver } from "./call-observer.js";
import { http2StreamOf } from "./http2-stream.js";
import { arrivedTooSlowly, malformed, tooLarge } from "./refusals.js";
import { TimeLimit } from "./time-limit.js";

type Listener = Parameters<ServerInterceptingCallInterface["start"]>[0];
type Status = Parameters<ServerInterceptingCallInterface["sendStatus"]>[0];

/** What all calls of a server share. */
export interface CallContext {
  readonly gate: Gate;
  readonly inFlight: InFlight;
  readonly drain: Drain;
  readonly readStreams: Capacity;
  /** Subscribe calls from their headers on, so also those that have not sent their request yet. */
  readonly subscriptions: Capacity;
  readonly auxiliaryCalls: Capacity;
  readonly auxiliaryStreams: Capacity;
  readonly allowedHomeservers: AllowedHomeservers;
  readonly observer: CallObserver;
  readonly callTimeLimitMs: number;
  readonly requestTimeLimitMs: number;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
}

/**
 * A call from its headers until its HTTP/2 stream is closed, which is when its
 * memory is free: the layer between grpc-js and the handlers. Reports it to the
 * observer and refuses what no call may send; what it is allowed to take is for the
 * kinds of calls to say. Once it is closed, nothing that is still reported of it
 * counts: grpc-js may deliver messages after their call has ended.
 */
export abstract class TrackedCall extends ServerInterceptingCall {
  protected readonly call: ServerInterceptingCallInterface;
  protected readonly context: CallContext;
  protected readonly stream: ServerHttp2Stream | undefined;
  protected readonly labels: CallLabels;
  /** Who takes what the call takes. It has no connection if grpc-js keeps the stream elsewhere. */
  protected readonly holder: Holder;
  /** Runs while a request is due; the kinds of calls say when that is. */
  protected readonly requestTimeLimit: TimeLimit;
  readonly #incoming: IncomingCall | undefined;
  readonly #startedAt: number;
  #statusCode: number | undefined;
  #hasSentMetadata = false;
  #isReset = false;
  #closeTimer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(call: ServerInterceptingCallInterface, labels: CallLabels, context: CallContext) {
    super(call);
    this.call = call;
    this.context = context;
    this.stream = http2StreamOf(call);
    this.labels = labels;
    this.#incoming = this.stream && context.gate.callOf(this.stream);
    this.holder = { connection: this.#incoming?.connection };
    const { requestTimeLimitMs } = context;
    this.requestTimeLimit = new TimeLimit(requestTimeLimitMs, () =>
      this.refuse(arrivedTooSlowly(requestTimeLimitMs)),
    );
    this.#startedAt = context.clock();
  }

  override start(listener: Listener): void {
    this.context.observer.started(this.labels);
    this.stream?.once("close", () => this.#end());
    if (this.#incoming?.refusal !== undefined) {
      this.#endWith(this.#incoming.refusal);
      return;
    }
    const refusal = this.admit();
    if (refusal !== undefined) {
      this.refuse(refusal);
      return;
    }
    if (this.#incoming !== undefined) this.#incoming.onArrival = (arrival) => this.#arrived(arrival);
    this.call.start({
      onReceiveMetadata: (metadata) => {
        setConnection(metadata, this.holder.connection);
        listener.onReceiveMetadata(metadata);
      },
      onReceiveMessage: (message) => this.#receiveMessage(message, listener),
      onReceiveHalfClose: () => {
        // A reset ends the request as well, without the client having meant it.
        if (this.#isOver || this.stream?.closed === true) return;
        if (this.#incoming?.isInsideMessage === true) {
          this.refuse(malformed("request", "ends in the middle of a message"));
          return;
        }
        this.receivedHalfClose();
        listener.onReceiveHalfClose();
      },
      onCancel: () => {
        listener.onCancel();
        if (this.stream === undefined) this.#end();
        else if (this.#statusCode === undefined && !this.stream.closed) this.#closeAfterDeadline(this.stream);
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
  /** The largest message that the call may send. */
  protected abstract readonly requestBytesMax: number;
  /** A part of a request has arrived; it may not be read for a while. */
  protected abstract receivedBytes(arrival: Arrival): void;
  /** A request is complete; returns why it cannot be served, or undefined. */
  protected abstract receivedMessage(message: unknown): CacheError | undefined;
  /** The client sends no more; handlers of single requests start only now. */
  protected receivedHalfClose(): void {}
  /** The call is over: gives back what it took. Comes once. */
  protected abstract release(): void;

  /** Sends a message of the reply. */
  protected send(message: unknown, callback: () => void): void {
    if (!this.#hasSentMetadata) {
      this.#hasSentMetadata = true;
      this.call.sendMetadata(REPLY_METADATA);
    }
    this.call.sendMessage(message, callback);
  }

  /** Ends the call with a failure. */
  protected refuse(error: CacheError): void {
    this.#endWith(toStatus(error));
  }

  /** Ends the call and drops what the client has not read. */
  protected reset(): void {
    this.#isReset = true;
    this.stream?.close(constants.NGHTTP2_CANCEL);
    this.#expectClose();
  }

  /** grpc-js has answered at the client's deadline, and leaves the stream open until the client half-closes it. */
  #closeAfterDeadline(stream: ServerHttp2Stream): void {
    // A reset in the trailers' own turn would overtake them.
    setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
    this.#expectClose();
  }

  /** If a stream was closed and stays open, its peer reads nothing at all: ends the connection. */
  #expectClose(): void {
    const stream = this.stream;
    if (stream === undefined) this.#end();
    else this.#closeTimer ??= setTimeout(() => stream.session?.destroy(), CLOSE_TIME_LIMIT_MS);
  }

  /** It has been answered, or its stream is closed. */
  get #isOver(): boolean {
    return this.#ended || this.#statusCode !== undefined;
  }

  #endWith(status: Status): void {
    if (this.#ended) return;
    this.requestTimeLimit.disarm();
    this.sendStatus(status);
    this.#expectClose();
  }

  #arrived(arrival: Arrival): void {
    if (this.#isOver) return;
    if (arrival.isCompressed) this.refuse(malformed("request", "is marked as compressed"));
    else if (arrival.largestBytes > this.requestBytesMax) this.refuse(tooLarge(this.requestBytesMax));
    else this.receivedBytes(arrival);
  }

  #receiveMessage(message: unknown, listener: Listener): void {
    if (this.#isOver) return;
    const refusal = this.receivedMessage(message);
    if (refusal === undefined) listener.onReceiveMessage(message);
    else this.refuse(refusal);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#closeTimer);
    this.requestTimeLimit.disarm();
    this.release();
    const isResetByClient = !this.#isReset && this.stream?.rstCode !== constants.NGHTTP2_NO_ERROR;
    if (isResetByClient) this.holder.connection?.note("reset_call");
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

/** grpc-js would offer to take compressed requests. Shared by all calls: nobody changes it. */
const REPLY_METADATA = new Metadata();
REPLY_METADATA.set("grpc-accept-encoding", IDENTITY);
