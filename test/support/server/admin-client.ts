import { type CallOptions, type Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { AdminServiceClient } from "../../../src/gen/splitcache/admin/v1/admin_service.js";

/** A client of AdminService with a connection of its own; the caller closes it. */
export function adminClientOf(address: string): AdminServiceClient {
  return new AdminServiceClient(address, credentials.createInsecure(), {
    // Without it clients of one process share a connection.
    "grpc.use_local_subchannel_pool": 1,
  });
}

/** The last overload of a generated method. */
type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => unknown;

/** Makes one call of any service; rejects with the ServiceError. */
export function callUnary<Request, Response>(
  client: Client,
  method: UnaryMethod<Request, Response>,
  request: Request,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method.call(client, request, new Metadata(), {}, (error, response) =>
      error === null ? resolve(response) : reject(error),
    );
  });
}
