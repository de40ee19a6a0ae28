import type { Http2Session } from "node:http2";
import { Connection } from "../../../src/rpc/admission/connection.js";

/** A connection that is nothing but a party: none of its calls is ever made. */
export function idleConnection(peer?: string): Connection {
  const session = { socket: { remoteAddress: peer } } as Pick<
    Http2Session,
    "destroy" | "destroyed" | "socket"
  >;
  return new Connection(
    session as Http2Session,
    () => 0,
    () => {},
  );
}
