import { request as requestOverTls } from "node:https";
import { type Metadata, status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import * as wire from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { eventually } from "../../support/eventually.js";
import { adminClientOf } from "../../support/server/admin-client.js";
import {
  ALPHA,
  authYaml,
  BETA,
  bearing,
  call,
  cleanups,
  codeOf,
  getEvents,
  type Method,
  makeFolder,
  start,
} from "../../support/server/auth-server.js";
import { startTestServer } from "../../support/server/start-server.js";

type Started = Awaited<ReturnType<typeof start>>;

function admin({ server }: Pick<Started, "server">) {
  const client = adminClientOf(server.adminAddress);
  cleanups.push(() => client.close());
  return (method: "getLogLevel" | "drain" | "undrain", by: Metadata) =>
    codeOf(call(client, client[method] as Method<object, unknown>, {}, by));
}

function purge({ client }: Started, homeserver: string, by: string) {
  const method = client.purgeHomeserver as Method<wire.PurgeHomeserverRequest, unknown>;
  return codeOf(call(client, method, wire.PurgeHomeserverRequest.create({ homeserver }), bearing(by)));
}

function metrics({ server }: Pick<Started, "server">, headers: Record<string, string>) {
  return fetch(`${server.httpUrl}/metrics`, { headers }).then(({ status }) => status);
}

describe("an operator with homeservers", () => {
  it("purges them and nothing else, for AdminService and the metrics show all homeservers", async () => {
    const started = await start({ operator: [ALPHA] });
    const { tokens } = started;
    expect(await purge(started, ALPHA, tokens.operator)).toBe(status.OK);
    expect(await purge(started, BETA, tokens.operator)).toBe(status.PERMISSION_DENIED);
    expect(await admin(started)("getLogLevel", bearing(tokens.operator))).toBe(status.PERMISSION_DENIED);
    expect(await metrics(started, { authorization: `Bearer ${tokens.operator}` })).toBe(403);
  });
});

describe("the metrics", () => {
  it("tell a client of another role that it may not read them", async () => {
    const started = await start();
    expect(await metrics(started, { authorization: `Bearer ${started.tokens.alpha}` })).toBe(403);
    expect(await metrics(started, { authorization: "Bearer none" })).toBe(401);
  });

  it("refuse two authorization headers, and take the certificate of an operator", async () => {
    const folder = await makeFolder();
    const [own, ca] = [await folder.certificate("server"), await folder.certificate("ca")];
    const operator = await folder.certificate("o", { signer: ca, names: "DNS:operator.internal" });
    const entry = { name: "o", role: "operator", certificate_names: ["operator.internal"] };
    const server = await startTestServer({
      authFile: await folder.write("auth.yaml", authYaml([entry])),
      ...{ tlsCertFile: own.certFile, tlsKeyFile: own.keyFile, tlsClientCaFile: ca.certFile },
    });
    cleanups.push(() => server.stop());
    const statusWith = (headers: Record<string, string | string[]>, certificate = {}) =>
      new Promise((resolve, reject) => {
        const url = `${server.httpUrl.replace("http:", "https:")}/metrics`;
        const sent = requestOverTls(url, { ca: own.cert, agent: false, headers, ...certificate });
        sent.on("response", (reply) => resolve(reply.resume().statusCode)).on("error", reject);
        sent.end();
      });
    const certificate = { cert: operator.cert, key: operator.key };
    expect(await statusWith({}, certificate)).toBe(200);
    expect(await statusWith({})).toBe(401);
    expect(await statusWith({ authorization: ["Bearer a", "Bearer b"] }, certificate)).toBe(401);
  });
});

describe("the log", () => {
  it("names the client that drains, changes the level or purges, and the clients that are refused", async () => {
    const started = await start();
    const { tokens, server } = started;
    await purge(started, ALPHA, tokens.operator);
    await purge(started, BETA, tokens.alpha);
    await getEvents(started.client, BETA, bearing(tokens.reader)).catch(() => {});
    await admin(started)("drain", bearing(tokens.operator));
    await admin(started)("undrain", bearing(tokens.operator));
    await admin(started)("getLogLevel", bearing(tokens.alpha));
    await eventually(() => {
      const lines = server.logLines.filter(({ client }) => client !== undefined);
      const shown = lines.map(({ level, client, method }) => `${level} ${client} ${method}`);
      expect(shown).toEqual([
        "info operator PurgeHomeserver",
        "info alpha PurgeHomeserver",
        "warn alpha PurgeHomeserver",
        "warn reader GetEvents",
        "info operator Drain",
        "info operator Undrain",
        "warn alpha GetLogLevel",
      ]);
    });
  });
});
