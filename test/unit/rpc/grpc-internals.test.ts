import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
} from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { http2StreamOf, onHttp2Server } from "../../../src/rpc/grpc-internals.js";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

const identity = (bytes: Buffer) => bytes;

describe("the HTTP/2 stream under a call", () => {
  it("is where this version of grpc-js keeps it, and closing it ends the call", async () => {
    const calls: ServerInterceptingCallInterface[] = [];
    const server = new Server({
      interceptors: [
        (_method, call) => {
          calls.push(call);
          return new ServerInterceptingCall(call);
        },
      ],
    });
    const path = "/test.Test/Wait";
    const stream = { requestStream: false, responseStream: false };
    const functions = {
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    };
    let called = () => {};
    const isCalled = new Promise<void>((resolve) => {
      called = resolve;
    });
    server.addService({ wait: { path, ...stream, ...functions } }, { wait: () => called() });
    const port = await new Promise<number>((resolve) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (_error, bound) => resolve(bound));
    });
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    cleanups.push(
      () => client.close(),
      () => server.forceShutdown(),
    );
    const ended = new Promise<number | undefined>((resolve) => {
      client.makeUnaryRequest(path, identity, identity, Buffer.from("x"), (error) => resolve(error?.code));
    });
    await isCalled;
    const found = http2StreamOf(calls[0]!);
    expect(found?.destroyed).toBe(false);
    const closed = new Promise((resolve) => found?.once("close", resolve));
    found?.close(8);
    await closed;
    expect(await ended).toBe(1);
  });

  it("is undefined where a call has none", () => {
    const nothing: Pick<ServerInterceptingCallInterface, "startRead"> = { startRead: () => {} };
    expect(http2StreamOf(nothing as ServerInterceptingCallInterface)).toBeUndefined();
  });
});

describe("the HTTP/2 servers of a gRPC server", () => {
  it("are seen where this version of grpc-js makes them, for injectors and for listeners", async () => {
    const server = new Server();
    const seen: unknown[] = [];
    onHttp2Server(server, (http2Server) => seen.push(http2Server));
    server.createConnectionInjector(ServerCredentials.createInsecure());
    expect(seen).toHaveLength(1);
    await new Promise((resolve) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), resolve);
    });
    expect(seen).toHaveLength(2);
    server.forceShutdown();
  });

  it("are not served at all where grpc-js makes them elsewhere", () => {
    const server = new Server();
    Reflect.set(server, "createHttp2Server", undefined);
    expect(() => onHttp2Server(server, () => {})).toThrow("createHttp2Server");
  });
});
