/**
 * The program of two peers: a server that answers every read with fixed bytes, by grpc-js or by
 * node:http2 alone. It shows what the transport allows. It counts the IDs of a request by its
 * size and answers so many times as many bytes.
 * Usage: fixed-server.js grpc-js|http2 <bytes for each ID>
 */
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";

const [kind, bytes] = process.argv.slice(2);
const BYTES_EACH = Number(bytes);
/** Of an ID in a request, with its tag and length. */
const ID_BYTES = 46;
const IDS_MAX = 500;
const GRPC_HEAD_BYTES = 5;
const STREAM_PATH = "/splitcache.v1.EventCacheService/GetEventsStream";
const CALL_PATH = "/splitcache.v1.EventCacheService/GetEvents";

/** One reply for each number of IDs, made once. With room for a gRPC head in front. */
const replies = Array.from({ length: IDS_MAX + 1 }, () => undefined as Buffer | undefined);

function framedReply(requestBytes: number): Buffer {
  const ids = Math.floor(requestBytes / ID_BYTES);
  let reply = replies[ids];
  if (reply === undefined) {
    reply = Buffer.alloc(GRPC_HEAD_BYTES + ids * BYTES_EACH, "x");
    reply[0] = 0;
    reply.writeUInt32BE(ids * BYTES_EACH, 1);
    replies[ids] = reply;
  }
  return reply;
}

function reply(request: Buffer): Buffer {
  return framedReply(request.length).subarray(GRPC_HEAD_BYTES);
}

if (kind === "grpc-js") serveWithGrpc();
else serveWithHttp2();

function serveWithGrpc(): void {
  const asIs = (message: Buffer) => message;
  const method = (path: string, isStream: boolean) => ({
    path,
    requestStream: isStream,
    responseStream: isStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  });
  const definition: ServiceDefinition = {
    getEventsStream: method(STREAM_PATH, true),
    getEvents: method(CALL_PATH, false),
  };
  const server = new Server();
  server.addService(definition, {
    getEventsStream: (call: {
      on(event: string, listener: (message: Buffer) => void): void;
      write(message: Buffer): void;
      end(): void;
    }) => {
      call.on("data", (request) => call.write(reply(request)));
      call.on("end", () => call.end());
    },
    getEvents: (call: { request: Buffer }, callback: (error: null, message: Buffer) => void) => {
      callback(null, reply(call.request));
    },
  });
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
    if (error !== null) throw error;
    console.log(port);
  });
}

function serveWithHttp2(): void {
  const server = createServer();
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    const isStream = headers[":path"] === STREAM_PATH;
    stream.respond(
      { ":status": 200, "content-type": "application/grpc" },
      isStream ? {} : { waitForTrailers: true },
    );
    if (!isStream) stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    answerMessages(stream, isStream);
  });
  server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
}

/** Answers each gRPC message of a stream; a call ends with its reply. */
function answerMessages(stream: ServerHttp2Stream, isStream: boolean): void {
  let rest: Buffer = Buffer.alloc(0);
  stream.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= GRPC_HEAD_BYTES) {
      const size = rest.readUInt32BE(1);
      if (rest.length < GRPC_HEAD_BYTES + size) return;
      rest = rest.subarray(GRPC_HEAD_BYTES + size);
      if (isStream) stream.write(framedReply(size));
      else stream.end(framedReply(size));
    }
  });
}
