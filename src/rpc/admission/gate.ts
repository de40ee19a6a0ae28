import type { Http2Server, Http2Session, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { type Server, type StatusObject, status } from "@grpc/grpc-js";
import { onHttp2Server } from "../grpc-internals.js";
import { TINY_DATA_BYTES } from "../limits.js";
import { Connection, type FloodObserver } from "./connection.js";
import { boundedTimeout, headerRefusal } from "./header-check.js";
import { type Arrival, MessageHeads } from "./message-heads.js";

/** A call as it arrives, before grpc-js knows of it. */
export interface IncomingCall {
  readonly connection: Connection;
  /** Why its headers are refused. */
  readonly refusal: StatusObject | undefined;
  /** A message of it has begun to arrive and not ended. */
  readonly isInsideMessage: boolean;
  /** Is called with each piece of the request when it arrives, read or not, before anybody can read it. */
  onArrival: ((arrival: Arrival) => void) | undefined;
}

/**
 * Stands between HTTP/2 and grpc-js: sees every call of a gRPC server first, also
 * those of unknown methods, and ends connections that flood. What is refused is
 * for the interceptor to answer, so that it is counted like any other call.
 */
export class Gate {
  readonly #clock: () => number;
  readonly #onFlood: FloodObserver;
  readonly #connections = new WeakMap<Http2Session, Connection>();
  readonly #calls = new WeakMap<ServerHttp2Stream, IncomingCall>();

  /** `clock` is a monotonic clock in milliseconds. */
  constructor(clock: () => number, onFlood: FloodObserver) {
    this.#clock = clock;
    this.#onFlood = onFlood;
  }

  /** Guards the listeners that the server will have. */
  guard(server: Server): void {
    onHttp2Server(server, (http2Server) => this.#guard(http2Server));
  }

  callOf(stream: ServerHttp2Stream): IncomingCall | undefined {
    return this.#calls.get(stream);
  }

  #guard(http2Server: Http2Server): void {
    const emit: (event: string | symbol, ...parameters: unknown[]) => boolean =
      http2Server.emit.bind(http2Server);
    const guarded = (event: string | symbol, ...parameters: unknown[]): boolean => {
      if (event !== "stream") return emit(event, ...parameters);
      // Node.js emits this event with these.
      const [stream, headers] = parameters as [ServerHttp2Stream, IncomingHttpHeaders];
      const connection = this.#connectionOf(stream);
      if (connection === undefined || connection.isEnded) {
        stream.on("error", () => {});
        stream.close();
        return true;
      }
      this.#calls.set(stream, new GuardedCall(stream, headers, connection));
      const isHandled = emit(event, ...parameters);
      if (isUnknownToGrpc(stream)) connection.note("unknown_method");
      return isHandled;
    };
    http2Server.emit = guarded;
  }

  #connectionOf({ session }: ServerHttp2Stream): Connection | undefined {
    if (session === undefined) return undefined;
    let connection = this.#connections.get(session);
    if (connection === undefined) {
      connection = new Connection(session, this.#clock, this.#onFlood);
      this.#connections.set(session, connection);
    }
    return connection;
  }
}

class GuardedCall implements IncomingCall {
  readonly connection: Connection;
  readonly refusal: StatusObject | undefined;
  onArrival: ((arrival: Arrival) => void) | undefined;
  readonly #heads = new MessageHeads();

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, connection: Connection) {
    this.connection = connection;
    this.refusal = headerRefusal(headers);
    const timeout = boundedTimeout(headers);
    if (timeout !== undefined) headers["grpc-timeout"] = timeout;
    // Node.js pushes each DATA frame when it comes; "data" events wait until the request is read.
    const push = stream.push.bind(stream);
    stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (chunk instanceof Uint8Array) this.#arrived(chunk);
      // The client has reset the call with the code of no error. Node.js would wait until the reply has
      // left, which it never does, and the call would be held for as long as the connection.
      else if (chunk === null && stream.closed) setImmediate(() => stream.destroy());
      return push(chunk, encoding);
    };
  }

  get isInsideMessage(): boolean {
    return this.#heads.isInside;
  }

  #arrived(chunk: Uint8Array): void {
    const arrival = this.#heads.read(chunk);
    if (arrival.isMiddle && arrival.bytes < TINY_DATA_BYTES) this.connection.note("tiny_data");
    this.onArrival?.(arrival);
  }
}

/**
 * Whether grpc-js has answered a call in the turn of its headers: it does so for an
 * unknown method and for another content type, and tells no interceptor of it.
 */
function isUnknownToGrpc({ sentHeaders }: ServerHttp2Stream): boolean {
  if (sentHeaders === undefined) return false;
  const hasEncodings = sentHeaders["grpc-accept-encoding"] !== undefined;
  return (
    sentHeaders[":status"] === UNSUPPORTED_MEDIA_TYPE ||
    (Number(sentHeaders["grpc-status"]) === status.UNIMPLEMENTED && !hasEncodings)
  );
}

const UNSUPPORTED_MEDIA_TYPE = 415;
