import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
} from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { http2StreamOf } from "../../../../src/rpc/calls/http2-stream.js";

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
