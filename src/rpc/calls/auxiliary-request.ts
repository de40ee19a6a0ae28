import type { Server, ServiceDefinition } from "@grpc/grpc-js";

/** A request of an auxiliary service that cannot be decoded. */
export class MalformedRequest {}

/**
 * Replaces a request that cannot be decoded by a MalformedRequest, for services that
 * are added to the server later: grpc-js would answer INTERNAL, but the client caused
 * the error. The layer of calls refuses it before a handler gets it.
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
