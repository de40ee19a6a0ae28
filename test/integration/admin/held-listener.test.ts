import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Metadata, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import type { AdminServiceClient } from "../../../src/gen/splitcache/admin/v1/admin_service.js";
import { PROBE_CONNECTIONS_MAX } from "../../../src/net/connection-bounds.js";
import { eventually } from "../../support/eventually.js";
import { adminClientOf } from "../../support/server/admin-client.js";
import {
  authYaml,
  bearing,
  call,
  cleanups,
  codeOf,
  type Method,
  start,
} from "../../support/server/auth-server.js";
import { useSecretFolders } from "../../support/server/certificates.js";
import { framed, rawCall } from "../../support/server/raw-call.js";
import { startTestServer } from "../../support/server/start-server.js";

const makeFolder = useSecretFolders();
const sessions: ClientHttp2Session[] = [];
const sockets: Socket[] = [];
afterEach(() => {
  for (const held of [...sessions.splice(0), ...sockets.splice(0).reverse()]) held.destroy();
});

const WATCH = { ":path": "/grpc.health.v1.Health/Watch" };
const GET_LOG_LEVEL = { ":path": "/splitcache.admin.v1.AdminService/GetLogLevel" };

function session(address: string): ClientHttp2Session {
  const opened = connect(`http://${address}`).on("error", () => {});
  sessions.push(opened);
  return opened;
}

/** What was sent before has arrived. */
function pinged(connection: ClientHttp2Session): Promise<void> {
  return new Promise((resolve) => connection.ping(() => resolve()));
}

function client(address: string): AdminServiceClient {
  const opened = adminClientOf(address);
  cleanups.push(() => opened.close());
  return opened;
}

function askLevel(admin: AdminServiceClient, by: Metadata) {
  return codeOf(call(admin, admin.getLogLevel as Method<object, unknown>, {}, by));
}

function tcp(address: string, localAddress = "127.0.0.1"): Socket {
  const [host, port] = address.split(":");
  const socket = connectTcp({ host, port: Number(port), localAddress }).on("error", () => {});
  sockets.push(socket);
  return socket;
}

describe("operators reach the admin listener", () => {
  it.each([
    ["watches of health", WATCH, "response"],
    ["calls without credentials", GET_LOG_LEVEL, "response"],
  ])("while %s are open on all its connections", async (_, headers, answered) => {
    const { server, tokens } = await start();
    const held = Array.from({ length: PROBE_CONNECTIONS_MAX }, () => session(server.adminAddress));
    for (const connection of held) {
      const { stream } = rawCall(connection, "", headers);
      stream.write(framed(Buffer.alloc(0)));
      if (headers === WATCH) stream.end();
      await once(stream.resume(), answered);
    }
    expect(await askLevel(client(server.adminAddress), bearing(tokens.operator))).toBe(status.OK);
    expect(held.filter(({ closed }) => !closed)).toHaveLength(PROBE_CONNECTIONS_MAX - 1);
  });

  it("over a connection that also watches health, which is not closed during the call", async () => {
    const { server, tokens } = await start();
    const own = session(server.adminAddress);
    const watch = rawCall(own, "", WATCH);
    watch.stream.resume().end(framed(Buffer.alloc(0)));
    await once(watch.stream, "response");
    const authorization = `Bearer ${tokens.operator}`;
    const unfinished = rawCall(own, "", { ...GET_LOG_LEVEL, authorization });
    await pinged(own);
    const others = Array.from({ length: PROBE_CONNECTIONS_MAX + 5 }, () => session(server.adminAddress));
    await eventually(() => expect(others.filter(({ closed }) => closed)).not.toHaveLength(0));
    unfinished.stream.resume().end(framed(Buffer.alloc(0)));
    expect(await unfinished.end).toBe("0");
  });

  it("while handshakes that stall fill the bound of the other listeners", async () => {
    const own = await (await makeFolder()).certificate("server");
    const server = await startTestServer({ tlsCertFile: own.certFile, tlsKeyFile: own.keyFile });
    cleanups.push(() => server.stop());
    const admin = tcp(server.adminAddress);
    const stranger = tcp(server.address, "127.0.0.2");
    await Promise.all([once(admin, "connect"), once(stranger, "connect")]);
    for (let count = 0; count < 257; count += 1) await once(tcp(server.address), "connect");
    await eventually(() =>
      expect(server.logLines.map(({ problem }) => problem)).toContain("TOO_MANY_HANDSHAKES"),
    );
    // Of the listener's own handshakes, the handshakes of the address with the most are ended.
    for (const socket of [admin, stranger]) {
      const secured = connectTls({ socket, ca: own.cert, servername: "localhost", ALPNProtocols: ["h2"] });
      sockets.push(secured);
      await once(secured, "secureConnect");
    }
  });
});

describe("a reload", () => {
  it("counts for a call of AdminService whose request has not arrived", async () => {
    const { server, tokens, clients, folder } = await start();
    const own = session(server.adminAddress);
    const drain = rawCall(own, "", {
      ":path": "/splitcache.admin.v1.AdminService/Drain",
      authorization: `Bearer ${tokens.operator}`,
    });
    drain.stream.resume().write(framed(Buffer.alloc(0)));
    await pinged(own);
    await folder.write("auth.yaml", authYaml(clients.filter(({ name }) => name !== "operator")));
    server.reload();
    await eventually(() =>
      expect(server.logLines.some(({ msg }) => msg.includes("clients were read"))).toBe(true),
    );
    drain.stream.end();
    expect(await drain.end).toBe(String(status.UNAUTHENTICATED));
    expect((await fetch(`${server.httpUrl}/readyz`)).status).toBe(200);
  });
});
