import { Server, ServerCredentials } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { onHttp2Server } from "../../../src/rpc/http2-server.js";

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
