import { constants, type ServerHttp2Stream } from "node:http2";
import { Metadata, ServerInterceptingCall, type ServerInterceptingCallInterface } from "@grpc/grpc-js";
import type { Principal } from "../../auth/principal.js";
import type { CacheError } from "../../core/model/errors.js";
import type { Holder } from "../admission/capacity.js";
import { setConnection, setPrincipal } from "../admission/connection.js";
import type { IncomingCall } from "../admission/gate.js";
import { IDENTITY } from "../admission/header-check.js";
import type { Arrival } from "../admission/message-heads.js";
import { http2StreamOf } from "../grpc-internals.js";
import { CLOSE_TIME_LIMIT_MS } from "../limits.js";
import { CANCELLED, toStatus } from "../status.js";
import type { CallLabels } from "./call-observer.js";
import type { CallContext, CallKind, CallPolicy, PolicedCall } from "./call-policy.js";
import { arrivedTooSlowly, malformed, tooLarge } from "./refusals.js";
import { TimeLimit } from "./time-limit.js";

type Listener = Parameters<ServerInterceptingCallInterface["start"]>[0];
type Status = Parameters<ServerInterceptingCallInterface["sendStatus"]>[0];

/**
 * A call from its headers until its HTTP/2 stream is closed, when its memory is free:
 * the layer between grpc-js and the handlers. Reports the call to the observer and
 * refuses malformed input. The policy decides what the call may use. After the close,
 * later events of the call are ignored: grpc-js may deliver messages after a call has
 * ended.
 */
export class TrackedCall extends ServerInterceptingCall implements PolicedCall {
  readonly labels: CallLabels;
  readonly holder: Holder;
  readonly principal: Principal | undefined;
  readonly requestTimeLimit: TimeLimit;
  readonly #call: ServerInterceptingCallInterface;
  readonly #context: CallContext;
  readonly #policy: CallPolicy;
  readonly #stream: ServerHttp2Stream | undefined;
  readonly #incoming: IncomingCall | undefined;
  readonly #startedAt: number;
  #statusCode: number | undefined;
  #hasSentMetadata = false;
  #isReset = false;
  #closeTimer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(
    call: ServerInterceptingCallInterface,
    labels: CallLabels,
    context: CallContext,
    Policy: CallKind,
  ) {
    super(call);
    this.#call = call;
    this.#context = context;
    this.#stream = http2StreamOf(call);
    this.labels = labels;
    this.#incoming = this.#stream && context.gate.callOf(this.#stream);
    this.principal = this.#incoming?.principal;
    this.holder = { connection: this.#incoming?.connection };
    const { requestTimeLimitMs } = context;
    this.requestTimeLimit = new TimeLimit(requestTimeLimitMs, () =>
      this.refuse(arrivedTooSlowly(requestTimeLimitMs)),
    );
    this.#startedAt = context.clock();
    this.#policy = new Policy(this, context);
  }

  override start(listener: Listener): void {
    this.#context.observer.started(this.labels);
    this.#stream?.once("close", () => this.#end());
    if (this.#incoming?.refusal !== undefined) {
      this.#endWith(this.#incoming.refusal);
      return;
    }
    const refusal = this.#policy.admit();
    if (refusal !== undefined) {
      this.refuse(refusal);
      return;
    }
    if (this.#incoming !== undefined) this.#incoming.onArrival = (arrival) => this.#arrived(arrival);
    this.#call.start({
      onReceiveMetadata: (metadata) => {
        setConnection(metadata, this.holder.connection);
        setPrincipal(metadata, this.principal);
        listener.onReceiveMetadata(metadata);
      },
      onReceiveMessage: (message) => this.#receiveMessage(message, listener),
      onReceiveHalfClose: () => {
        // A reset ends the request too, but the client has not completed it.
        if (this.#isOver || this.#stream?.closed === true) return;
        if (this.#incoming?.isInsideMessage === true) {
          this.refuse(malformed("request", "ends in the middle of a message"));
          return;
        }
        this.#policy.receivedHalfClose();
        listener.onReceiveHalfClose();
      },
      onCancel: () => {
        listener.onCancel();
        if (this.#stream === undefined) this.#end();
        else if (this.#statusCode === undefined && !this.#stream.closed)
          this.#closeAfterDeadline(this.#stream);
      },
    });
  }

  override sendStatus(status: Status): void {
    const stream = this.#stream;
    const { hasReplied } = this;
    this.#statusCode ??= status.code;
    this.#call.sendStatus(status);
    if (stream === undefined || stream.readableEnded) return;
    // Discards further input. A reset in the same turn of the event loop would overtake the trailers.
    const close = () => stream.close(constants.NGHTTP2_NO_ERROR);
    if (hasReplied) stream.once("wantTrailers", () => setImmediate(close));
    else close();
  }

  override startRead(): void {
    this.#policy.startRead();
  }

  override sendMessage(message: unknown, callback: () => void): void {
    this.#policy.sendMessage(message, callback);
  }

  get hasReplied(): boolean {
    return this.#stream?.headersSent === true;
  }

  read(): void {
    this.#call.startRead();
  }

  send(message: unknown, callback: () => void): void {
    if (!this.#hasSentMetadata) {
      this.#hasSentMetadata = true;
      this.#call.sendMetadata(REPLY_METADATA);
    }
    this.#call.sendMessage(message, callback);
  }

  refuse(error: CacheError): void {
    this.#endWith(toStatus(error));
  }

  reset(): void {
    this.#isReset = true;
    this.#stream?.close(constants.NGHTTP2_CANCEL);
    this.#expectClose();
  }

  /** grpc-js has answered at the client's deadline, and leaves the stream open until the client half-closes it. */
  #closeAfterDeadline(stream: ServerHttp2Stream): void {
    // A reset in the same turn of the event loop would overtake the trailers.
    setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
    this.#expectClose();
  }

  /** If a closed stream stays open, its peer reads nothing: closes the connection. */
  #expectClose(): void {
    const stream = this.#stream;
    if (stream === undefined) this.#end();
    else this.#closeTimer ??= setTimeout(() => stream.session?.destroy(), CLOSE_TIME_LIMIT_MS);
  }

  /** Whether the call was answered or its stream is closed. */
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
    const { requestBytesMax } = this.#policy;
    if (arrival.isCompressed) this.refuse(malformed("request", "is marked as compressed"));
    else if (arrival.largestBytes > requestBytesMax) this.refuse(tooLarge(requestBytesMax));
    else {
      const refusal = this.#policy.receivedBytes(arrival);
      if (refusal !== undefined) this.refuse(refusal);
    }
  }

  #receiveMessage(message: unknown, listener: Listener): void {
    if (this.#isOver) return;
    const refusal = this.#policy.receivedMessage(message);
    if (refusal === undefined) listener.onReceiveMessage(message);
    else this.refuse(refusal);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#closeTimer);
    this.requestTimeLimit.disarm();
    this.#policy.release();
    const isResetByClient = !this.#isReset && this.#stream?.rstCode !== constants.NGHTTP2_NO_ERROR;
    if (isResetByClient) this.holder.connection?.note("reset_call");
    const seconds = (this.#context.clock() - this.#startedAt) / 1000;
    this.#context.observer.handled(this.labels, this.#sentStatusCode(), seconds);
  }

  /** grpc-js ends some calls itself (deadlines, requests that are too large) without calling an interceptor. */
  #sentStatusCode(): number {
    if (this.#stream === undefined) return this.#statusCode ?? CANCELLED;
    const { sentTrailers, sentHeaders } = this.#stream;
    const sent = sentTrailers?.["grpc-status"] ?? sentHeaders?.["grpc-status"];
    return sent === undefined ? CANCELLED : Number(sent);
  }
}

/** Without it grpc-js would offer to accept compressed requests. Shared by all calls and never changed. */
const REPLY_METADATA = new Metadata();
REPLY_METADATA.set("grpc-accept-encoding", IDENTITY);
