import { constants, type ServerHttp2Stream } from "node:http2";
import {
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

export interface AdmissionOptions {
  readonly gate: Gate;
  readonly callsMax?: number;
  readonly callTimeLimitMs?: number;
}

/**
 * Creates an interceptor that limits the number and the duration of AdminService calls, from
 * their headers until their reply was sent, and checks that the caller is an operator. Health
 * and reflection need no permission and have only the limits of the listener.
 */
export function admitOperators(options: AdmissionOptions): ServerInterceptor {
  const { gate, callsMax = ADMIN_CALLS_MAX, callTimeLimitMs = ADMIN_CALL_TIME_LIMIT_MS } = options;
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
          return call.sendStatus(toStatus(exhausted(`${callsMax} AdminService calls are already running`)));
        }
        const limit = new TimeLimit(callTimeLimitMs, () => endLate(call, stream));
        running += 1;
        limit.arm();
        stream.once("close", () => {
          running -= 1;
          limit.disarm();
        });
        next();
      },
    });
  };
}

/** Ends a call at its time limit: its request has not arrived, its work is too slow, or its client does not read. */
function endLate(call: ServerInterceptingCallInterface, stream: ServerHttp2Stream): void {
  if (stream.headersSent) {
    stream.close(constants.NGHTTP2_CANCEL);
    return;
  }
  call.sendStatus(
    toStatus(new CacheError("deadlineExceeded", "the server's time limit for a call has passed")),
  );
  // A reset in the same turn of the event loop would overtake the status.
  setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
}
