import { EventEmitter, once } from "node:events";
import { connect, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { connect as connectTls, createServer } from "node:tls";
import { type ChannelCredentials, credentials, Metadata, status } from "@grpc/grpc-js";
import { describe, expect, it, vi } from "vitest";
import { certificateNamesOf } from "../../../src/auth/certificate-names.js";
import { Clients } from "../../../src/auth/clients.js";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { CertifiedConnections } from "../../../src/net/certified-connections.js";
import {
  ALPHA,
  authYaml,
  BETA,
  type Client,
  cleanups,
  codeOf,
  getEvents,
  makeFolder,
} from "../../support/server/auth-server.js";
import { startTestServer } from "../../support/server/start-server.js";

describe("client certificates and Unix sockets", () => {
  it("are credentials where the auth file names them", async () => {
    const folder = await makeFolder();
    const [own, ca] = [await folder.certificate("server"), await folder.certificate("ca")];
    const alpha = await folder.certificate("alpha", { signer: ca, names: "URI:spiffe://cluster/alpha" });
    const common = await folder.certificate("common", { signer: ca, names: "", commonName: "beta-workers" });
    const stranger = await folder.certificate("stranger", { signer: ca });
    const socket = folder.path("s");
    const authFile = await folder.write(
      "auth.yaml",
      authYaml([
        {
          name: "a",
          role: "homeserver",
          homeservers: [ALPHA],
          certificate_names: ["spiffe://cluster/alpha"],
        },
        {
          name: "b",
          role: "homeserver",
          homeservers: [BETA],
          certificate_names: ["beta-workers"],
          unix_sockets: [socket],
        },
      ]),
    );
    const server = await startTestServer({
      ...{ authFile, tlsCertFile: own.certFile, tlsKeyFile: own.keyFile, tlsClientCaFile: ca.certFile },
      listen: [
        { kind: "tcp", host: "127.0.0.1", port: 0 },
        { kind: "unix", path: socket },
      ],
    });
    cleanups.push(() => server.stop());
    const over = (address: string, channel: ChannelCredentials) => {
      const client = new wire.EventCacheServiceClient(address, channel, {
        "grpc.use_local_subchannel_pool": 1,
      });
      cleanups.push(() => client.close());
      return client;
    };
    const tls = (certificate?: { readonly key: string; readonly cert: string }) =>
      over(
        server.address,
        credentials.createSsl(
          Buffer.from(own.cert),
          certificate ? Buffer.from(certificate.key) : null,
          certificate ? Buffer.from(certificate.cert) : null,
        ),
      );
    const codes = async (client: Client) =>
      Promise.all([ALPHA, BETA].map((name) => codeOf(getEvents(client, name, new Metadata()))));
    expect(await codes(tls(alpha))).toEqual([status.OK, status.PERMISSION_DENIED]);
    expect(await codes(tls(common))).toEqual([status.PERMISSION_DENIED, status.OK]);
    expect(await codes(tls(stranger))).toEqual([status.UNAUTHENTICATED, status.UNAUTHENTICATED]);
    expect(await codes(tls())).toEqual([status.UNAUTHENTICATED, status.UNAUTHENTICATED]);
    expect(await codes(over(`unix:${socket}`, credentials.createInsecure()))).toEqual([
      status.PERMISSION_DENIED,
      status.OK,
    ]);
  });
});

describe("a connection with a client certificate", () => {
  async function connected() {
    const folder = await makeFolder();
    const [own, ca] = [await folder.certificate("server"), await folder.certificate("ca")];
    const alpha = await folder.certificate("alpha", { signer: ca });
    const caFile = await folder.write("clients.crt", ca.cert);
    const server = await startTestServer(
      { tlsCertFile: own.certFile, tlsKeyFile: own.keyFile, tlsClientCaFile: caFile },
      { fileCheckIntervalMs: 3_600_000 },
    );
    cleanups.push(() => server.stop());
    const session = connect(`https://${server.address}`, { ca: own.cert, cert: alpha.cert, key: alpha.key });
    session.on("error", () => {});
    cleanups.push(() => session.destroy());
    await once(session, "connect");
    return { folder, server, session };
  }

  it("ends when other authorities are trusted", async () => {
    const { folder, server, session } = await connected();
    const closed = once(session, "close");
    await folder.write("clients.crt", (await folder.certificate("other-ca")).cert);
    server.reload();
    await closed;
  });

  it("ends when the certificate expires", async () => {
    const folder = await makeFolder();
    const own = await folder.certificate("server", { days: 40 });
    const tls = createServer({ cert: own.cert, key: own.key, requestCert: true, ca: own.cert });
    cleanups.push(() => tls.close());
    await once(tls.listen(0, "127.0.0.1"), "listening");
    const { port } = tls.address() as AddressInfo;
    const options = { ca: own.cert, cert: own.cert, key: own.key, servername: "localhost" };
    const socket = connectTls({ ...options, port, host: "127.0.0.1" });
    cleanups.push(() => socket.destroy());
    const [[accepted]] = await Promise.all([once(tls, "secureConnection"), once(socket, "secureConnect")]);
    const session = Object.assign(new EventEmitter(), {
      goaway: () => {},
      destroy: vi.fn(),
      destroyed: false,
    });
    vi.useFakeTimers();
    cleanups.push(() => vi.useRealTimers());
    const connections = new CertifiedConnections(() => Date.now());
    connections.opened(session as unknown as ServerHttp2Session, accepted);
    vi.advanceTimersByTime(39 * 86_400_000);
    expect(session.destroy).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1.1 * 86_400_000);
    expect(session.destroy).toHaveBeenCalledOnce();
  });
});

describe("the names of a certificate", () => {
  async function namesOf(names: string) {
    const folder = await makeFolder();
    const own = await folder.certificate("server", { names, commonName: "common" });
    const tls = createServer({ cert: own.cert, key: own.key, requestCert: true, ca: own.cert });
    cleanups.push(() => tls.close());
    await once(tls.listen(0, "127.0.0.1"), "listening");
    const { port } = tls.address() as AddressInfo;
    const socket = connectTls({
      ...{ ca: own.cert, cert: own.cert, key: own.key, port, host: "127.0.0.1" },
      checkServerIdentity: () => undefined,
    });
    cleanups.push(() => socket.destroy());
    const [[accepted]] = await Promise.all([once(tls, "secureConnection"), once(socket, "secureConnect")]);
    return certificateNamesOf(accepted);
  }

  it.each([
    [
      "its DNS names and URIs",
      "DNS:a.internal,URI:spiffe://cluster/a,email:x@y",
      ["a.internal", "spiffe://cluster/a"],
    ],
    ["quoted names as they are", "@s\n[s]\nURI=spiffe://c/a, DNS:forged", ["spiffe://c/a, DNS:forged"]],
    ["its common name if it has no other", "", ["common"]],
    ["nothing if it has names of other kinds alone", "email:x@y", []],
  ])("are %s", async (_, names, expected) => {
    expect(await namesOf(names)).toEqual(expected);
  });

  it("are no credential if they belong to two clients", () => {
    const entry = (name: string) => ({
      rights: { name, role: "operator", homeservers: undefined } as const,
      ...{ tokenDigests: [], certificateNames: [name], unixSockets: [] },
    });
    const clients = new Clients([entry("a"), entry("b")]);
    const by = (...certificateNames: readonly string[]) =>
      clients.authenticate({ authorization: [], certificateNames, unixSocket: undefined });
    expect(by("a", "unknown")).toMatchObject({ rights: { name: "a" } });
    expect(by("a", "b")).toMatchObject({
      kind: "unauthenticated",
      message: expect.stringContaining("several"),
    });
  });
});
