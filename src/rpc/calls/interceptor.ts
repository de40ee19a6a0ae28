import type { ServerInterceptor } from "@grpc/grpc-js";
import { serviceDefinition } from "../handlers/service-definition.js";
import { AuxiliaryPolicy } from "./auxiliary-policy.js";
import type { CallLabels } from "./call-observer.js";
import type { CallContext, CallKind } from "./call-policy.js";
import { ReadStreamPolicy } from "./read-stream-policy.js";
import { SubscriptionPolicy } from "./subscription-policy.js";
import { TrackedCall } from "./tracked-call.js";
import { UnaryPolicy } from "./unary-policy.js";

/** Creates the interceptor, which gives each call the layer that counts and bounds it. */
export function createInterceptor(context: CallContext): ServerInterceptor {
  const labelsByPath = new Map<string, CallLabels>();
  return (method, call) => {
    let labels = labelsByPath.get(method.path);
    if (labels === undefined) {
      // Only registered methods get here, so clients cannot fill the map.
      labels = toLabels(method.path, method.requestStream, method.responseStream);
      labelsByPath.set(method.path, labels);
    }
    return new TrackedCall(call, labels, context, callKind(method.path));
  };
}

/** The streaming methods of the cache's service. All others are unary. */
const STREAMING_KINDS: ReadonlyMap<string, CallKind> = new Map<string, CallKind>([
  [serviceDefinition.getEventsStream.path, ReadStreamPolicy],
  [serviceDefinition.subscribe.path, SubscriptionPolicy],
]);
const SERVICE_PATHS = new Set<string>(Object.values(serviceDefinition).map(({ path }) => path));

function callKind(path: string): CallKind {
  if (!SERVICE_PATHS.has(path)) return AuxiliaryPolicy;
  return STREAMING_KINDS.get(path) ?? UnaryPolicy;
}

function toLabels(path: string, requestStream: boolean, responseStream: boolean): CallLabels {
  const [, service = "", method = ""] = path.split("/");
  const type = requestStream
    ? responseStream
      ? "bidi_stream"
      : "client_stream"
    : responseStream
      ? "server_stream"
      : "unary";
  return { type, service, method };
}
