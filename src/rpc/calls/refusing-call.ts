import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";
import type { Gate } from "../admission/gate.js";
import { http2StreamOf } from "../grpc-internals.js";
import { toStatus } from "../status.js";
import { MalformedRequest } from "./auxiliary-request.js";
import { malformed, NOT_PROTOBUF } from "./refusals.js";

/** Creates an interceptor that refuses malformed calls, for servers that do not count calls. */
export function refuseBadCalls(gate: Gate): ServerInterceptor {
  return (_method, call) => {
    const stream = http2StreamOf(call);
    const refusal = stream && gate.callOf(stream)?.refusal;
    return new ServerInterceptingCall(call, {
      start: (next) => {
        if (refusal !== undefined) {
          call.sendStatus(refusal);
          return;
        }
        next({
          onReceiveMessage: (message, receive) => {
            if (!(message instanceof MalformedRequest)) receive(message);
            else call.sendStatus(toStatus(malformed("request", NOT_PROTOBUF)));
          },
        });
      },
    });
  };
}
