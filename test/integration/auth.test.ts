import { createHash, randomBytes } from "node:crypto";
import { type ChannelCredentials, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { ConfigError } from "../../src/config/parse-config.js";
import * as wire from "../../src/gen/splitcache/v1/event_cache_service.js";
import { headerBlock } from "../attack/http2/frames.js";
import { framed } from "../attack/http2/raw-call.js";
import { RawConnection } from "../attack/http2/raw-connection.js";
import { adminClientOf } from "../support/admin-client.js";
import { type SecretFolder, useSecretFolders } from "../support/certificates.js";
import { eventually } from "../support/eventually.js";
import { runCli } from "../support/run-cli.js";
import { startTestServer } from "../support/start-server.js";

const makeFolder = useSecretFolders();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const token = () => randomBytes(32).toString("hex");
const ALPHA = "alpha.example";
const BETA = "beta.example";

interface ClientText {
  readonly name: string;
  readonly role: string;
  readonly homeservers?: readonly string[];
  readonly [credential: string]: unknown;
}

function authYaml(clients: readonly ClientText[]): string {
  // JSON is YAML.
  return JSON.stringify({ clients });
}

/** A sidecar with one client of each role, and their tokens. */
async function start() {
  const folder = await makeFolder();
  const tokens = { alpha: token(), beta: token(), reader: token(), operator: token() };
  const entry = async (name: keyof typeof tokens, role: string, homeservers: readonly string[]) => ({
    name,
    role,
    homeservers,
    token_files: [await folder.write(name, `${tokens[name]}\n`)],
  });
  const clients: ClientText[] = [
    await entry("alpha", "homeserver", [ALPHA]),
    await entry("beta", "homeserver", [BETA]),
    await entry("reader", "reader", [ALPHA]),
    await entry("operator", "operator", []),
  ];
  const authFile = await folder.write("auth.yaml", authYaml(clients));
  const server = await startTestServer({ authFile }, { fileCheckIntervalMs: 3_600_000 });
  cleanups.push(() => server.stop());
  const client = new wire.EventCacheServiceClient(server.address, credentials.createInsecure());
  cleanups.push(() => client.close());
  return { folder, tokens, clients, authFile, server, client };
}

function bearing(...values: readonly string[]): Metadata {
  const metadata = new Metadata();
  for (const value of values) metadata.add("authorization", `Bearer ${value}`);
  return metadata;
}

type Method<Request, Response> = (
  request: Request,
  metadata: Metadata,
  callback: (error: ServiceError | null, response: Response) => void,
) => unknown;

function call<Request, Response>(
  client: object,
  method: Method<Request, Response>,
  request: Request,
  metadata: Metadata,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method.call(client, request, metadata, (error, response) =>
      error === null ? resolve(response) : reject(error),
    );
  });
}

const readOf = (homeserver: string, eventIds: string[] = []) =>
  wire.GetEventsRequest.create({ homeserver, eventIds });

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => status.OK,
    (error: ServiceError) => error.code,
  );

type Client = wire.EventCacheServiceClient;
const getEvents = (client: Client, homeserver: string, metadata: Metadata, eventIds: string[] = []) =>
  call(
    client,
    client.getEvents as Method<wire.GetEventsRequest, wire.GetEventsResponse>,
    readOf(homeserver, eventIds),
    metadata,
  );

describe("authentication", () => {
  it("refuses a call without credentials, with a wrong token, or with two headers, and answers health", async () => {
    const { client, tokens, server } = await start();
    expect(await codeOf(getEvents(client, ALPHA, new Metadata()))).toBe(status.UNAUTHENTICATED);
    expect(await codeOf(getEvents(client, ALPHA, bearing(token())))).toBe(status.UNAUTHENTICATED);
    expect(await codeOf(getEvents(client, ALPHA, bearing(tokens.alpha)))).toBe(status.OK);
    const basic = new Metadata();
    basic.set("authorization", `Basic ${tokens.alpha}`);
    expect(await codeOf(getEvents(client, ALPHA, basic))).toBe(status.UNAUTHENTICATED);
    const health = await runCli(["health", "--address", server.address]);
    expect(health.stdout).toBe("SERVING\n");
    for (const log of server.logLines) expect(JSON.stringify(log)).not.toContain(tokens.alpha);
  });

  it("refuses two authorization headers, even if both are right", async () => {
    const { tokens, server } = await start();
    const connection = await RawConnection.open(Number(server.address.split(":")[1]));
    cleanups.push(() => connection.destroy());
    const codeWith = async (...values: readonly string[]) => {
      const fields = [
        ...[":method", "POST", ":path", "/splitcache.v1.EventCacheService/GetEvents", ":scheme", "http"],
        ...[":authority", "localhost", "content-type", "application/grpc", "te", "trailers"],
        ...values.flatMap((value) => ["authorization", `Bearer ${value}`]),
      ];
      const headers = fields.flatMap((name, at) =>
        at % 2 === 0 ? [[name, fields[at + 1] ?? ""] as const] : [],
      );
      const call = connection.call(headerBlock(headers));
      call.data(framed(Buffer.from(wire.GetEventsRequest.encode(readOf(ALPHA)).finish())), true);
      return (await call.end).status;
    };
    expect(await codeWith(tokens.alpha)).toBe(status.OK);
    expect(await codeWith(tokens.alpha, tokens.alpha)).toBe(status.UNAUTHENTICATED);
  });

  it("answers alike for another's homeserver, whether or not it is known", async () => {
    const { client, tokens } = await start();
    await getEvents(client, BETA, bearing(tokens.beta));
    const failures = await Promise.all(
      [BETA, "unknown.example"].map((name) =>
        getEvents(client, name, bearing(tokens.alpha)).catch((error: ServiceError) => error),
      ),
    );
    const [known, unknown] = failures.map((error) => {
      const { code, details, metadata } = error as ServiceError;
      return { code, details, metadata: Object.keys(metadata.getMap()).filter((key) => key !== "date") };
    });
    expect(known).toEqual(unknown);
    expect(known?.code).toBe(status.PERMISSION_DENIED);
  });

  it("answers a read stream's request for another's homeserver with a failure, and goes on", async () => {
    const { client, tokens } = await start();
    const stream = client.getEventsStream(bearing(tokens.alpha));
    cleanups.push(() => stream.cancel());
    const replies: wire.GetEventsStreamResponse[] = [];
    stream.on("data", (reply) => replies.push(reply)).on("error", () => {});
    stream.write({ requestId: 1n, request: readOf(BETA) });
    stream.write({ requestId: 2n, request: readOf(ALPHA) });
    await eventually(() => expect(replies).toHaveLength(2));
    expect(replies[0]?.result).toMatchObject({ $case: "failure", value: { code: status.PERMISSION_DENIED } });
    expect(replies[1]?.result?.$case).toBe("response");
  });
});

describe("roles", () => {
  const event = (eventId: string, rejected: boolean) => ({
    eventId,
    roomId: "!room",
    roomVersion: "11",
    body: Buffer.from('{"type":"m.room.message","content":{}}'),
    rejected,
    rejectedReason: "",
    internalMetadata: Buffer.from("secret"),
    redaction: undefined,
  });

  it("give a reader the redacted view, without internal metadata and rejected events, and nothing else", async () => {
    const { client, tokens } = await start();
    const { position: asOf } = await getEvents(client, ALPHA, bearing(tokens.alpha));
    const put = wire.PutEventsRequest.create({
      homeserver: ALPHA,
      events: [event("$good", false), event("$bad", true)],
      asOf,
    });
    const putEvents = client.putEvents as Method<wire.PutEventsRequest, wire.PutEventsResponse>;
    await call(client, putEvents, put, bearing(tokens.alpha));
    const own = await getEvents(client, ALPHA, bearing(tokens.alpha), ["$good", "$bad"]);
    expect(own.events.map(({ internalMetadata }) => String(internalMetadata))).toEqual(["secret", "secret"]);
    const seen = await getEvents(client, ALPHA, bearing(tokens.reader), ["$good", "$bad"]);
    expect(seen.events.map(({ eventId, internalMetadata }) => [eventId, String(internalMetadata)])).toEqual([
      ["$good", ""],
    ]);
    expect(seen.missingEventIds).toEqual(["$bad"]);
    expect(await codeOf(call(client, putEvents, put, bearing(tokens.reader)))).toBe(status.PERMISSION_DENIED);
    const original = { ...readOf(ALPHA), redactionView: wire.RedactionView.ORIGINAL };
    const getOriginal = call(
      client,
      client.getEvents as Method<wire.GetEventsRequest, wire.GetEventsResponse>,
      original,
      bearing(tokens.reader),
    );
    expect(await codeOf(getOriginal)).toBe(status.PERMISSION_DENIED);
    expect(await codeOf(getEvents(client, BETA, bearing(tokens.reader)))).toBe(status.PERMISSION_DENIED);
  });

  it("let an operator purge and administer and read metrics, and nobody else", async () => {
    const { client, tokens, server } = await start();
    const admin = adminClientOf(server.adminAddress);
    cleanups.push(() => admin.close());
    const purge = wire.PurgeHomeserverRequest.create({ homeserver: ALPHA });
    const purgeBy = (by: string) =>
      codeOf(
        call(
          client,
          client.purgeHomeserver as Method<wire.PurgeHomeserverRequest, unknown>,
          purge,
          bearing(by),
        ),
      );
    const adminBy = (metadata: Metadata) =>
      codeOf(call(admin, admin.getLogLevel as Method<object, unknown>, {}, metadata));
    const metricsBy = async (headers: Record<string, string>) =>
      (await fetch(`${server.httpUrl}/metrics`, { headers })).status;
    expect(await purgeBy(tokens.operator)).toBe(status.OK);
    expect(await purgeBy(tokens.reader)).toBe(status.PERMISSION_DENIED);
    expect(await codeOf(getEvents(client, ALPHA, bearing(tokens.operator)))).toBe(status.PERMISSION_DENIED);
    expect(await adminBy(bearing(tokens.operator))).toBe(status.OK);
    expect(await adminBy(bearing(tokens.alpha))).toBe(status.PERMISSION_DENIED);
    expect(await adminBy(new Metadata())).toBe(status.UNAUTHENTICATED);
    expect(await metricsBy({})).toBe(401);
    expect(await metricsBy({ authorization: `Bearer ${tokens.alpha}` })).toBe(401);
    expect(await metricsBy({ authorization: `Bearer ${tokens.operator}` })).toBe(200);
    expect((await fetch(`${server.httpUrl}/readyz`)).status).toBe(200);
  });
});

describe("a reload", () => {
  it("takes rights away from open streams, and leaves the others alone", async () => {
    const { client, tokens, clients, authFile, folder, server } = await start();
    const subscribe = (by: string, homeserver: string) => {
      const stream = client.subscribe(wire.SubscribeRequest.create({ homeserver }), bearing(by));
      const seen = { frames: 0, code: undefined as number | undefined };
      stream.on("data", () => {
        seen.frames += 1;
      });
      stream.on("error", ({ code }: ServiceError) => {
        seen.code = code;
      });
      cleanups.push(() => stream.cancel());
      return seen;
    };
    const [gone, kept] = [subscribe(tokens.alpha, ALPHA), subscribe(tokens.beta, BETA)];
    await eventually(() => expect([gone.frames > 0, kept.frames > 0]).toEqual([true, true]));
    const next = token();
    await folder.write("alpha", next);
    await folder.write("auth.yaml", authYaml(clients));
    server.reload();
    await eventually(() => expect(gone.code).toBe(status.PERMISSION_DENIED));
    expect(await codeOf(getEvents(client, ALPHA, bearing(tokens.alpha)))).toBe(status.UNAUTHENTICATED);
    expect(await codeOf(getEvents(client, ALPHA, bearing(next)))).toBe(status.OK);
    expect(kept.code).toBeUndefined();
    // A broken file changes nothing.
    await folder.write("auth.yaml", "clients: [");
    server.reload();
    await eventually(() => expect(server.logLines.filter(({ level }) => level === "error")).toHaveLength(1));
    expect(await codeOf(getEvents(client, ALPHA, bearing(next)))).toBe(status.OK);
    expect(authFile).toBe(folder.path("auth.yaml"));
  });
});

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

describe("the command line", () => {
  it("speaks TLS and sends its token", async () => {
    const folder = await makeFolder();
    const own = await folder.certificate("server", { names: "DNS:sidecar.internal" });
    const secret = token();
    const tokenFile = await folder.write("token", `${secret}\n`);
    const digest = createHash("sha256").update(secret).digest("hex");
    const operator = { name: "o", role: "operator", tokens_sha256: [digest] };
    const authFile = await folder.write("auth.yaml", authYaml([operator]));
    const server = await startTestServer({ authFile, tlsCertFile: own.certFile, tlsKeyFile: own.keyFile });
    cleanups.push(() => server.stop());
    const flags = [
      "--tls-ca-file",
      own.certFile,
      "--tls-server-name",
      "sidecar.internal",
      "--token-file",
      tokenFile,
    ];
    const env = {
      SPLITCACHE_CLIENT_TLS_CA_FILE: own.certFile,
      SPLITCACHE_CLIENT_TLS_SERVER_NAME: "sidecar.internal",
      SPLITCACHE_CLIENT_TOKEN_FILE: tokenFile,
    };
    const purge = ["purge-homeserver", "-H", ALPHA, "--yes", "--address", server.address];
    expect(await runCli([...purge, ...flags])).toMatchObject({ code: 0, stderr: "" });
    expect(await runCli(purge, { env })).toMatchObject({ code: 0, stderr: "" });
    expect(await runCli(["admin", "log-level", "--address", server.adminAddress], { env })).toMatchObject({
      code: 0,
    });
    const http = server.httpUrl.replace("http://", "");
    expect(await runCli(["stats", "--http", http], { env })).toMatchObject({ code: 0, stderr: "" });
    const { SPLITCACHE_CLIENT_TOKEN_FILE: _, ...withoutToken } = env;
    expect((await runCli(purge, { env: withoutToken })).stderr).toContain("UNAUTHENTICATED");
    expect((await runCli([...purge, "--token-file", folder.path("none")])).stderr).toContain(
      "--token-file cannot be read",
    );
    expect((await runCli([...purge, "--tls-ca-file", own.certFile])).code).toBe(4);
  });
});

describe("an auth file", () => {
  const READER = { name: "r", role: "reader", homeservers: [ALPHA] };
  const SHA = "ab".repeat(32);
  const bad: [string, (folder: SecretFolder) => Promise<unknown> | unknown, RegExp][] = [
    [
      "with an unknown role",
      () => [{ ...READER, role: "admin", tokens_sha256: [SHA] }],
      /clients\[0\]\.role: must be one of homeserver, reader, operator/,
    ],
    ["with an unknown key", () => [{ ...READER, token: "x" }], /clients\[0\]: unknown key token/],
    [
      "with an unknown homeserver",
      () => [{ ...READER, homeservers: [BETA], tokens_sha256: [SHA] }],
      /homeserver beta\.example is not served/,
    ],
    ["without credentials", () => [READER], /has no credentials/],
    [
      "without homeservers",
      () => [{ name: "r", role: "reader", tokens_sha256: [SHA] }],
      /homeservers is required/,
    ],
    [
      "with one token for two clients",
      () => [
        { ...READER, tokens_sha256: [SHA] },
        { ...READER, tokens_sha256: [SHA.toUpperCase()] },
      ],
      /clients\[1\] \(r\), tokens_sha256\[0\]: the token is already a credential of .*clients\[0\]/,
    ],
    [
      "with an empty token file",
      async (folder) => [{ ...READER, token_files: [await folder.write("t", "\n")] }],
      /token file .*t: is empty/,
    ],
    [
      "with a token with spaces",
      async (folder) => [{ ...READER, token_files: [await folder.write("t", `${"a".repeat(32)} b`)] }],
      /without spaces/,
    ],
    [
      "with a short token",
      async (folder) => [{ ...READER, token_files: [await folder.write("t", "a".repeat(31))] }],
      /holds 31 characters, must hold at least 32/,
    ],
    [
      "with a token that every user can read",
      async (folder) => [{ ...READER, token_files: [await folder.write("t", "a".repeat(32), 0o644)] }],
      /can be read by every user \(mode 0644\): chmod o-r/,
    ],
    [
      "with a missing token file",
      (folder) => [{ ...READER, token_files: [folder.path("none")] }],
      /token file .*none: cannot be read/,
    ],
    [
      "with a socket that is no listener",
      () => [{ ...READER, unix_sockets: ["/none"] }],
      /no listener is at unix:\/none/,
    ],
    [
      "with names of certificates, without authorities",
      () => [{ ...READER, certificate_names: ["a"] }],
      /certificate_names requires --tls-client-ca-file/,
    ],
  ];

  it.each(bad)("%s is refused at the start", async (_, clientsOf, message) => {
    const folder = await makeFolder();
    const clients = await clientsOf(folder);
    const authFile = await folder.write("auth.yaml", JSON.stringify({ clients }));
    const failure = startTestServer({ authFile, homeservers: [ALPHA] });
    await expect(failure).rejects.toThrow(ConfigError);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.not.toThrow(/a{31}/);
  });

  it("has all its mistakes reported at once", async () => {
    const folder = await makeFolder();
    const clients = [
      { ...READER, role: "x" },
      { ...READER, name: 7 },
    ];
    const authFile = await folder.write("auth.yaml", JSON.stringify({ clients }));
    const error = await startTestServer({ authFile, tlsCertFile: "/none", tlsKeyFile: "/none" }).catch(
      (error) => error,
    );
    expect(error.problems).toHaveLength(4);
  });
});
