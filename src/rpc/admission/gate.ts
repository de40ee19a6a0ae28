import type { Http2Server, Http2Session, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { type Server, type StatusObject, status } from "@grpc/grpc-js";
import type { Principal } from "../../auth/principal.js";
import { CacheError } from "../../core/model/errors.js";
import { onHttp2Server } from "../grpc-internals.js";
import { TINY_DATA_BYTES } from "../limits.js";
import { toStatus } from "../status.js";
import { Connection, type FloodObserver } from "./connection.js";
import { boundedTimeout, headerRefusal } from "./header-check.js";
import { type Arrival, MessageHeads } from "./message-heads.js";

/** An arriving call, before grpc-js handles it. */
export interface IncomingCall {
  readonly connection: Connection;
  /** The reason why its headers are refused. */
  readonly refusal: StatusObject | undefined;
  /** The caller; undefined if calls need no credentials. */
  readonly principal: Principal | undefined;
  /** Whether a message has started to arrive and has not ended. */
  readonly isInsideMessage: boolean;
  /** Called with each piece of the request when it arrives, before it can be read. */
  onArrival: ((arrival: Arrival) => void) | undefined;
}

/** Decides who may make a call, at its headers. */
export interface Access {
  /** Who makes the call, or why it is refused; undefined for a call that needs no credentials. */
  admit(
    session: Http2Session,
    path: string,
    authorization: readonly string[],
  ): Principal | CacheError | undefined;
  /** Calls `listener` after each change of rights, until the returned function is called. */
  onChange(listener: () => void): () => void;
}

/**
 * Inspects every call of a gRPC server before grpc-js, including calls of unknown
 * methods, and closes connections that flood. The interceptor answers refused calls,
 * so that they are counted like all other calls.
 */
export class Gate {
  readonly #clock: () => number;
  readonly #onFlood: FloodObserver;
  readonly #access: Access | undefined;
  readonly #connections = new WeakMap<Http2Session, Connection>();
  readonly #calls = new WeakMap<ServerHttp2Stream, IncomingCall>();

  /** `clock` is a monotonic clock in milliseconds. Without `access` no call needs credentials. */
  constructor(clock: () => number, onFlood: FloodObserver, access?: Access) {
    this.#clock = clock;
    this.#onFlood = onFlood;
    this.#access = access;
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
      const [stream, headers, , rawHeaders] = parameters as [
        ServerHttp2Stream,
        IncomingHttpHeaders,
        number,
        string[],
      ];
      const connection = this.#connectionOf(stream);
      if (connection === undefined || connection.isEnded) {
        stream.on("error", () => {});
        stream.close();
        return true;
      }
      this.#calls.set(
        stream,
        new GuardedCall(stream, headers, connection, this.#callerOf(stream, headers, rawHeaders)),
      );
      const isHandled = emit(event, ...parameters);
      if (isUnknownToGrpc(stream)) connection.note("unknown_method");
      return isHandled;
    };
    http2Server.emit = guarded;
  }

  #callerOf(
    { session }: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
  ): Principal | CacheError | undefined {
    if (this.#access === undefined || session === undefined) return undefined;
    // Node.js keeps only the first of two headers.
    const authorization = rawHeaders.filter((_, at) => at % 2 === 1 && isAuthorization(rawHeaders[at - 1]));
    return this.#access.admit(session, headers[":path"] ?? "", authorization);
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

function isAuthorization(name: string | undefined): boolean {
  return name?.toLowerCase() === "authorization";
}

class GuardedCall implements IncomingCall {
  readonly connection: Connection;
  readonly refusal: StatusObject | undefined;
  readonly principal: Principal | undefined;
  onArrival: ((arrival: Arrival) => void) | undefined;
  readonly #heads = new MessageHeads();

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    connection: Connection,
    caller: Principal | CacheError | undefined,
  ) {
    this.connection = connection;
    const isRefused = caller instanceof CacheError;
    this.principal = isRefused ? undefined : caller;
    this.refusal = isRefused ? toStatus(caller) : headerRefusal(headers);
    const timeout = boundedTimeout(headers);
    if (timeout !== undefined) headers["grpc-timeout"] = timeout;
    // Node.js pushes each DATA frame when it arrives; "data" events wait until the request is read.
    const push = stream.push.bind(stream);
    stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (chunk instanceof Uint8Array) this.#arrived(chunk);
      // The client has reset the call with NO_ERROR. Node.js would wait for the reply to be sent, which
      // never happens, and would hold the call as long as the connection.
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
 * Whether grpc-js has answered a call in the turn of its headers. It does so for an
 * unknown method and for a wrong content type, without calling an interceptor.
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
