import type { Server, ServiceDefinition } from "@grpc/grpc-js";

/** A request of another service that is not protobuf of its message. */
export class MalformedRequest {}

/**
 * Services that are added to the server from now on are given a MalformedRequest
 * where their deserialisers throw: grpc-js answers INTERNAL to that, as if it were
 * not the client's fault. The calls' layer refuses it before a handler sees it.
 */
export function catchMalformedRequests(server: Server): void {
  const addService = server.addService.bind(server);
  server.addService = (service, implementation) => addService(withCatch(service), implementation);
}

function withCatch(service: ServiceDefinition): ServiceDefinition {
  const entries = Object.entries(service).map(([name, method]) => {
    const requestDeserialize = (bytes: Buffer): unknown => {
      try {
        return method.requestDeserialize(bytes);
      } catch {
        return new MalformedRequest();
      }
    };
    return [name, { ...method, requestDeserialize }];
  });
  return Object.fromEntries(entries);
}
