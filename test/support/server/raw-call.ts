import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";

/** A call over a raw connection, whose request is for the test to write. */
export interface RawCall {
  readonly stream: ClientHttp2Stream;
  /** The gRPC status, or `reset <code>` if the server reset the stream. */
  readonly end: Promise<string>;
}

/** `headers` are sent besides, or in place of, the usual ones. */
export function rawCall(
  session: ClientHttp2Session,
  method: string,
  headers: OutgoingHttpHeaders = {},
): RawCall {
  const stream = session.request({
    ":method": "POST",
    ":path": `/splitcache.v1.EventCacheService/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  const end = new Promise<string>((resolve) => {
    let grpcStatus: unknown;
    stream.on("response", (headers) => {
      grpcStatus = headers["grpc-status"];
    });
    stream.on("trailers", (headers) => {
      grpcStatus = headers["grpc-status"];
    });
    stream.on("error", () => {});
    stream.on("close", () => resolve(grpcStatus === undefined ? `reset ${stream.rstCode}` : `${grpcStatus}`));
  });
  return { stream, end };
}

/** A message with the head that gRPC puts before it. */
export function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}
