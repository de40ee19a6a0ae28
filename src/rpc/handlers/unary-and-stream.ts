import type { handleServerStreamingCall, handleUnaryCall, ServerWritableStream } from "@grpc/grpc-js";
import type { Principal } from "../../auth/principal.js";
import { CacheError } from "../../core/model/errors.js";
import { type Connection, connectionOf, principalOf } from "../admission/connection.js";
import { type RpcLogger, toCacheError, toStatus } from "../status.js";
import type { Decoded } from "../wire/strict-decode.js";
import { StreamWriter } from "./stream-writer.js";

/** A unary call from a promise. */
export function unaryHandler<Request, Response>(
  serve: (request: Request) => Promise<Response>,
  logger: RpcLogger,
): handleUnaryCall<Decoded<Request>, Response> {
  return unaryReplyHandler(async (request: Request, reply: (response: Response) => void) => {
    reply(await serve(request));
  }, logger);
}

/**
 * Creates the handler of a unary call. `serve` calls `reply` once, or throws or rejects.
 * The message is serialised before `reply` returns. A call whose deadline has passed is not served.
 */
export function unaryReplyHandler<Request, Response>(
  serve: (
    request: Request,
    reply: (response: Response) => void,
    principal: Principal | undefined,
  ) => Promise<void> | undefined,
  logger: RpcLogger,
): handleUnaryCall<Decoded<Request>, Response> {
  return (call, callback) => {
    let hasReplied = false;
    const reply = (response: Response) => {
      hasReplied = true;
      callback(null, response);
    };
    const fail = (error: unknown) => {
      const status = toStatus(toCacheError(error, logger));
      if (!hasReplied) callback(status);
    };
    try {
      serve(requestOf(call), reply, principalOf(call.metadata))?.catch(fail);
    } catch (error) {
      fail(error);
    }
  };
}

/**
 * Creates the handler of a server stream from an async iterable. The next message is
 * requested when the previous message was sent.
 */
export function serverStreamHandler<Request, Response>(
  serve: (request: Request, caller: Caller) => AsyncIterable<Response>,
  logger: RpcLogger,
): handleServerStreamingCall<Decoded<Request>, Response> {
  return (call: ServerWritableStream<Decoded<Request>, Response>) => {
    const writer = new StreamWriter<Response>(call, logger);
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

/** The reader of a stream. */
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
