import type { handleServerStreamingCall, handleUnaryCall, ServerWritableStream } from "@grpc/grpc-js";
import { CacheError } from "../../core/model/errors.js";
import { type Connection, connectionOf } from "../admission/connection.js";
import { type RpcLog, toCacheError, toStatus } from "../status.js";
import type { Decoded } from "../wire/strict-decode.js";
import { StreamWriter } from "./stream-writer.js";

/** A unary call from a promise. */
export function unaryHandler<Request, Response>(
  serve: (request: Request) => Promise<Response>,
  log: RpcLog,
): handleUnaryCall<Decoded<Request>, Response> {
  return unaryReplyHandler(async (request: Request, reply: (response: Response) => void) => {
    reply(await serve(request));
  }, log);
}

/**
 * A unary call. `serve` calls `reply` once, or throws or rejects. The message is
 * serialised before `reply` returns. A call that nobody waits for any more does nothing.
 */
export function unaryReplyHandler<Request, Response>(
  serve: (request: Request, reply: (response: Response) => void) => Promise<void> | undefined,
  log: RpcLog,
): handleUnaryCall<Decoded<Request>, Response> {
  return (call, callback) => {
    const fail = (error: unknown) => callback(toStatus(toCacheError(error, log)));
    try {
      serve(requestOf(call), (response) => callback(null, response))?.catch(fail);
    } catch (error) {
      fail(error);
    }
  };
}

/**
 * A server stream from an async iterable. The next message is asked for when the
 * one before has left.
 */
export function serverStreamHandler<Request, Response>(
  serve: (request: Request, caller: Caller) => AsyncIterable<Response>,
  log: RpcLog,
): handleServerStreamingCall<Decoded<Request>, Response> {
  return (call: ServerWritableStream<Decoded<Request>, Response>) => {
    const writer = new StreamWriter<Response>(call, log);
    const caller = { connection: connectionOf(call.metadata), gone: writer.gone };
    const writeAll = async () => {
      for await (const message of serve(requestOf(call), caller)) {
        await writer.write(message);
        if (writer.gone.aborted) return;
      }
    };
    void writer.finish(writeAll());
  };
}

/** Who reads a stream. */
export interface Caller {
  readonly connection: Connection | undefined;
  /** Aborts when the client has gone. */
  readonly gone: AbortSignal;
}

interface PendingCall<Request> {
  readonly request: Decoded<Request>;
  getDeadline(): Date | number;
}

function requestOf<Request>(call: PendingCall<Request>): Request {
  if (call.getDeadline().valueOf() <= Date.now()) {
    throw new CacheError("deadlineExceeded", "the deadline passed before the call was served");
  }
  if (!call.request.ok) throw call.request.error;
  return call.request.message;
}
