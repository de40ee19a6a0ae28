import { constants, type ServerHttp2Stream } from "node:http2";
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from "@grpc/grpc-js";
import { CacheError } from "../core/model/errors.js";
import type { Gate } from "../rpc/admission/gate.js";
import { exhausted } from "../rpc/calls/refusals.js";
import { refuseBadCalls } from "../rpc/calls/refusing-call.js";
import { TimeLimit } from "../rpc/calls/time-limit.js";
import { http2StreamOf } from "../rpc/grpc-internals.js";
import { toStatus } from "../rpc/status.js";
import { ADMIN_SERVICE } from "./definition.js";
import { ADMIN_CALL_TIME_LIMIT_MS, ADMIN_CALLS_MAX } from "./limits.js";

/** Says why the caller with these headers may not administer; undefined if it may. */
export type Authorize = (headers: Metadata) => CacheError | undefined;

export interface AdmissionOptions {
  readonly gate: Gate;
  readonly authorize: Authorize;
  readonly callsMax?: number;
  readonly callTimeLimitMs?: number;
}

/**
 * An interceptor that bounds the calls of AdminService in number and in time, from their
 * headers until their reply has left, and asks whether the caller is an operator. Health and
 * reflection need no permission, and have the bounds of the listener alone.
 */
export function admitOperators(options: AdmissionOptions): ServerInterceptor {
  const { gate, authorize, callsMax = ADMIN_CALLS_MAX, callTimeLimitMs = ADMIN_CALL_TIME_LIMIT_MS } = options;
  const refuseBadCall = refuseBadCalls(gate);
  let running = 0;
  return (method, call) => {
    if (!method.path.startsWith(`/${ADMIN_SERVICE}/`)) return refuseBadCall(method, call);
    const stream = http2StreamOf(call);
    if (stream === undefined) throw new Error("grpc-js keeps the HTTP/2 stream of a call elsewhere");
    return new ServerInterceptingCall(call, {
      start: (next) => {
        const refusal = gate.callOf(stream)?.refusal;
        if (refusal !== undefined) return call.sendStatus(refusal);
        if (running >= callsMax) {
          return call.sendStatus(toStatus(exhausted(`${callsMax} calls of AdminService run already`)));
        }
        const limit = new TimeLimit(callTimeLimitMs, () => endLate(call, stream));
        running += 1;
        limit.arm();
        stream.once("close", () => {
          running -= 1;
          limit.disarm();
        });
        next({
          onReceiveMetadata: (headers, receive) => {
            const refusal = authorize(headers);
            if (refusal === undefined) receive(headers);
            else call.sendStatus(toStatus(refusal));
          },
        });
      },
    });
  };
}

/** Ends a call whose request has not arrived, whose work takes too long, or whose client does not read. */
function endLate(call: ServerInterceptingCallInterface, stream: ServerHttp2Stream): void {
  if (stream.headersSent) {
    stream.close(constants.NGHTTP2_CANCEL);
    return;
  }
  call.sendStatus(
    toStatus(new CacheError("deadlineExceeded", "the server's time limit for a call has passed")),
  );
  // A reset in the status' own turn would overtake it.
  setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
}
