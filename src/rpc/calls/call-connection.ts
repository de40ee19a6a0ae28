import type { Metadata } from "@grpc/grpc-js";
import type { Connection } from "../admission/connection.js";

/** Hands a call's connection to its handler, in the call's metadata: grpc-js passes nothing else on. */
export function setConnection(metadata: Metadata, connection: Connection | undefined): void {
  metadata.setOpaque(KEY, connection);
}

/** The connection that a call came over; undefined where the interceptor did not know it. */
export function connectionOf(metadata: Metadata): Connection | undefined {
  // Nobody else sets it.
  return metadata.getOpaque(KEY) as Connection | undefined;
}

const KEY = "splitcache.connection";
