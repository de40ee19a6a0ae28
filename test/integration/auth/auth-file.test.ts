import { createHash } from "node:crypto";
import { chmod } from "node:fs/promises";
import { relative } from "node:path";
import { credentials, Metadata } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/config/parse-config.js";
import { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { runCli } from "../../support/cli/run-cli.js";
import {
  ALPHA,
  authYaml,
  BETA,
  cleanups,
  getEvents,
  makeFolder,
  token,
} from "../../support/server/auth-server.js";
import type { SecretFolder } from "../../support/server/certificates.js";
import { startTestServer } from "../../support/server/start-server.js";

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
    for (const command of [["stats"], ["top", "-n", "1"], ["doctor", "--address", server.address]]) {
      expect(await runCli([...command, "--http", http], { env })).toMatchObject({ code: 0, stderr: "" });
    }
    const { SPLITCACHE_CLIENT_TOKEN_FILE: _, ...withoutToken } = env;
    expect((await runCli(purge, { env: withoutToken })).stderr).toContain("UNAUTHENTICATED");
    expect((await runCli(["top", "-n", "1", "--http", http], { env: withoutToken })).stderr).toContain(
      "--token-file",
    );
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
      /clients\[0\]\.role: must be one of homeserver, reader, operator, metrics/,
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
      "with homeservers for the metrics, which show all homeservers",
      () => [{ name: "m", role: "metrics", homeservers: [ALPHA], tokens_sha256: [SHA] }],
      /clients\[0\] \(m\): homeservers must be left out for the role metrics/,
    ],
    [
      "with a socket for the metrics, which no socket serves",
      () => [{ name: "m", role: "metrics", unix_sockets: ["/none"] }],
      /clients\[0\] \(m\): unix_sockets must be left out for the role metrics/,
    ],
    [
      "with an empty list of homeservers, which would mean all",
      () => [{ name: "o", role: "operator", homeservers: [], tokens_sha256: [SHA] }],
      /clients\[0\]\.homeservers: must not be empty/,
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
      /can be read or written by every user \(mode 0644\): chmod o-rw/,
    ],
    [
      "with a token that every user can write",
      async (folder) => {
        const file = await folder.write("t", "a".repeat(32));
        await chmod(file, 0o662);
        return [{ ...READER, token_files: [file] }];
      },
      /can be read or written by every user \(mode 0662\)/,
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

  it("has all its errors reported together", async () => {
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

  it("has the errors of its other clients reported beside an invalid client", async () => {
    const folder = await makeFolder();
    const clients = [
      { ...READER, role: "x" },
      { ...READER, name: "s", homeservers: [BETA], token_files: ["none"], tokens_sha256: [SHA] },
      { ...READER, name: "t", tokens_sha256: [SHA] },
    ];
    const authFile = await folder.write("auth.yaml", JSON.stringify({ clients }));
    const error = await startTestServer({ authFile, homeservers: [ALPHA] }).catch((error) => error);
    expect(error.message).toMatch(/clients\[0\]\.role: must be one of/);
    expect(error.message).toMatch(/clients\[1\] \(s\): homeserver beta\.example is not served/);
    expect(error.message).toMatch(/clients\[1\] \(s\), token file .*none: cannot be read/);
    expect(error.message).toMatch(/clients\[2\] \(t\), tokens_sha256\[0\]: the token is already/);
    expect(error.problems).toHaveLength(4);
  });

  it("may write the path of a socket in another way than --listen", async () => {
    const folder = await makeFolder();
    const [path, other] = [folder.path("s"), folder.path("o")];
    const sockets = { unix_sockets: [path.replace("/s", "//s"), relative(folder.path("."), other)] };
    const authFile = await folder.write("auth.yaml", authYaml([{ ...READER, ...sockets }]));
    const listened = [relative(process.cwd(), path), other].map((path) => ({ kind: "unix", path }) as const);
    const server = await startTestServer({ authFile, listen: listened });
    cleanups.push(() => server.stop());
    for (const { path } of listened) {
      const client = new EventCacheServiceClient(`unix:${path}`, credentials.createInsecure());
      cleanups.push(() => client.close());
      expect((await getEvents(client, ALPHA, new Metadata())).missingEventIds).toEqual([]);
    }
  });
});

describe("a private key", () => {
  it("that every user can read is refused at the start", async () => {
    const folder = await makeFolder();
    const own = await folder.certificate("server");
    await chmod(own.keyFile, 0o644);
    const failure = startTestServer({ tlsCertFile: own.certFile, tlsKeyFile: own.keyFile });
    await expect(failure).rejects.toThrow(
      /--tls-key-file .*: can be read or written by every user \(mode 0644\)/,
    );
  });
});
