/** Where the gRPC layer writes what no client is sent. Fields never hold event content. */
export interface RpcLog {
  /** A defect of ours, with the error under `err`. */
  error(message: string, fields: Readonly<Record<string, unknown>>): void;
  debug(message: string, fields: Readonly<Record<string, unknown>>): void;
}
