import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { type ChannelCredentials, credentials, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/config/parse-config.js";
import {
  EventCacheServiceClient,
  type SubscribeResponse,
} from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { call, failureOf } from "../../support/server/calls.js";
import { type Certificate, useSecretFolders } from "../../support/server/certificates.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

const makeFolder = useSecretFolders();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Given = Parameters<typeof startTestServer>;

async function start(...given: Given): Promise<TestServer> {
  const server = await startTestServer(...given);
  cleanups.push(() => server.stop());
  return server;
}

const tlsOf = ({ certFile, keyFile }: Certificate) => ({ tlsCertFile: certFile, tlsKeyFile: keyFile });

function clientOf(address: string, channel: ChannelCredentials): EventCacheServiceClient {
  const client = new EventCacheServiceClient(address, channel, { "grpc.use_local_subchannel_pool": 1 });
  cleanups.push(() => client.close());
  return client;
}

function trusting(ca: Certificate, own?: Certificate): ChannelCredentials {
  const bytes = (text: string) => Buffer.from(text);
  return credentials.createSsl(bytes(ca.cert), own ? bytes(own.key) : null, own ? bytes(own.cert) : null);
}

const READ = {
  homeserver: "alpha.example",
  eventIds: [] as string[],
  redactionView: 0,
  minPosition: undefined,
} as const;

function read(client: EventCacheServiceClient) {
  return call(client, client.getEvents, READ, { deadline: Date.now() + 5000 });
}

function tcp(address: string): Socket {
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host).on("error", () => {});
  cleanups.push(() => socket.destroy());
  return socket;
}

function tls(address: string, options: ConnectionOptions): TLSSocket {
  const socket = connectTls({ ...options, socket: tcp(address), servername: "localhost" });
  socket.on("error", () => {});
  cleanups.push(() => socket.destroy());
  return socket;
}

/** Whatever error comes first. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

function get(url: string, options: ConnectionOptions): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request(url.replace("http:", "https:"), {
      ...options,
      servername: "localhost",
      agent: false,
    });
    sent.on("response", (reply) => resolve(reply.resume().statusCode)).on("error", reject);
    sent.end();
  });
}

describe("TLS", () => {
  it("is spoken by every TCP listener but the one of probes", async () => {
    const own = await (await makeFolder()).certificate("server");
    const server = await start(tlsOf(own));
    expect((await read(clientOf(server.address, trusting(own)))).position?.sequence).toBe(0n);
    expect(await get(`${server.httpUrl}/readyz`, { ca: own.cert })).toBe(200);
    expect((await fetch(`http://${server.healthAddress}/readyz`)).status).toBe(200);
    const admin = tls(server.adminAddress, { ca: own.cert, ALPNProtocols: ["h2"] });
    await once(admin, "secureConnect");
    expect(admin.alpnProtocol).toBe("h2");
    expect((await failureOf(read(clientOf(server.address, credentials.createInsecure())))).code).toBe(
      status.UNAVAILABLE,
    );
  });

  it("shows when the certificate expires in the metrics", async () => {
    const own = await (await makeFolder()).certificate("server");
    const { httpUrl } = await start({ ...tlsOf(own), http: { kind: "tcp", host: "127.0.0.1", port: 0 } });
    const sent = request(`${httpUrl.replace("http:", "https:")}/metrics`, { ca: own.cert, agent: false });
    sent.end();
    const [reply] = (await once(sent, "response")) as [IncomingMessage];
    const body = await text(reply);
    const seconds = Number(/^splitcache_tls_certificate_expiry_seconds (\d+)$/m.exec(body)?.[1]);
    const days = (seconds - Date.now() / 1000) / 86_400;
    expect(days).toBeGreaterThan(1.9);
    expect(days).toBeLessThan(2.1);
  });

  it("refuses versions before 1.2, other protocols and cleartext, and counts nothing of them as a call", async () => {
    const own = await (await makeFolder()).certificate("server");
    const server = await start(tlsOf(own));
    const old = tls(server.address, {
      ca: own.cert,
      maxVersion: "TLSv1.1",
      minVersion: "TLSv1",
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    await closed(old);
    const http1 = tls(server.address, { ca: own.cert, ALPNProtocols: ["http/1.1"] });
    await closed(http1);
    const cleartext = tcp(server.address);
    cleartext.write("GET / HTTP/1.1\r\n\r\n");
    await closed(cleartext.resume());
    const modern = tls(server.address, {
      ca: own.cert,
      minVersion: "TLSv1.2",
      maxVersion: "TLSv1.2",
      ALPNProtocols: ["h2"],
    });
    await once(modern, "secureConnect");
    const problems = server.logLines.filter(({ msg }) => msg === "a TLS handshake failed");
    expect(problems.map(({ problem }) => problem)).toContain("ERR_SSL_UNSUPPORTED_PROTOCOL");
  });
});

describe("client certificates", () => {
  it("are required without an auth file, and must be of the authority", async () => {
    const folder = await makeFolder();
    const own = await folder.certificate("server");
    const ca = await folder.certificate("ca");
    const good = await folder.certificate("good", { signer: ca });
    const other = await folder.certificate("other", { signer: await folder.certificate("other-ca") });
    const expired = await folder.certificate("expired", { signer: ca, days: -1 });
    const server = await start({ ...tlsOf(own), tlsClientCaFile: ca.certFile });
    expect((await read(clientOf(server.address, trusting(own, good)))).position?.sequence).toBe(0n);
    for (const refused of [undefined, other, expired]) {
      const failure = await failureOf(read(clientOf(server.address, trusting(own, refused))));
      expect(failure.code).toBe(status.UNAVAILABLE);
    }
    await expect(get(`${server.httpUrl}/metrics`, { ca: own.cert })).rejects.toThrow();
    expect(await get(`${server.httpUrl}/metrics`, { ca: own.cert, cert: good.cert, key: good.key })).toBe(
      200,
    );
    const problems = server.logLines.flatMap(({ problem }) => problem ?? []);
    expect(problems).toEqual(expect.arrayContaining(["NO_CLIENT_CERTIFICATE", "CERT_HAS_EXPIRED"]));
    expect(new Set(problems).size).toBe(3);
  });
});

describe("a changed certificate", () => {
  async function replaced() {
    const folder = await makeFolder();
    const [first, second] = [await folder.certificate("first"), await folder.certificate("second")];
    const certFile = await folder.write("tls.crt", first.cert);
    const keyFile = await folder.write("tls.key", first.key);
    return { folder, first, second, files: { tlsCertFile: certFile, tlsKeyFile: keyFile } };
  }

  async function subscribed(client: EventCacheServiceClient) {
    const frames: SubscribeResponse[] = [];
    const stream = client.subscribe({ homeserver: "alpha.example", resumeAfter: undefined, subscriber: "" });
    let isOpen = true;
    stream
      .on("data", (frame) => frames.push(frame))
      .on("error", () => {
        isOpen = false;
      });
    cleanups.push(() => stream.cancel());
    await eventually(() => expect(frames).not.toHaveLength(0));
    return { frames, isOpen: () => isOpen };
  }

  it("is used for new connections when its files change, while open streams go on", async () => {
    const { folder, first, second, files } = await replaced();
    const server = await start(files, { fileCheckIntervalMs: 10 });
    const old = clientOf(server.address, trusting(first));
    const stream = await subscribed(old);
    await folder.write("tls.key", second.key);
    await folder.write("tls.crt", second.cert);
    await eventually(async () => {
      expect((await read(clientOf(server.address, trusting(second)))).position?.sequence).toBe(0n);
    });
    const before = stream.frames.length;
    await call(old, old.invalidateEvents, { homeserver: "alpha.example", roomId: "", eventIds: ["$a"] });
    await eventually(() => expect(stream.frames.length).toBeGreaterThan(before));
    expect(stream.isOpen()).toBe(true);
  });

  it.each([
    [
      "does not fit its key",
      (second: Certificate) => second.cert,
      "the key does not belong to the certificate",
    ],
    ["is no certificate", () => "nonsense", "no certificate in PEM"],
    ["vanishes", () => undefined, "cannot be read"],
  ])("that %s leaves the old one in use, with one error that says so", async (_, contentOf, problem) => {
    const { folder, first, second, files } = await replaced();
    const server = await start(files, { fileCheckIntervalMs: 3_600_000 });
    const content = contentOf(second);
    if (content === undefined) await import("node:fs/promises").then(({ rm }) => rm(files.tlsCertFile));
    else await folder.write("tls.crt", content);
    server.reload();
    const errors = () => server.logLines.filter(({ level }) => level === "error");
    await eventually(() => expect(errors()).toHaveLength(1));
    expect(errors()[0]?.msg).toBe(
      "the new certificates are not used, the old ones stay in use: correct the files",
    );
    expect(String(errors()[0]?.["problems"])).toContain(problem);
    expect((await read(clientOf(server.address, trusting(first)))).position?.sequence).toBe(0n);
  });

  it.each([
    ["has expired", { days: -1 }, /--tls-cert-file .*: has expired at \d{4}-/],
    [
      "is for another key",
      undefined,
      /--tls-cert-file and --tls-key-file: the key does not belong to the certificate/,
    ],
  ])("that %s is an error at the start", async (_, options, message) => {
    const folder = await makeFolder();
    const first = await folder.certificate("first", options);
    const other = await folder.certificate("other");
    const key = options === undefined ? other : first;
    const failure = startTestServer({ tlsCertFile: first.certFile, tlsKeyFile: key.keyFile });
    await expect(failure).rejects.toThrow(ConfigError);
    await expect(failure).rejects.toThrow(message);
  });
});
