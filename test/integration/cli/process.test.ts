import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildProgram, type Program } from "../../support/program/build-program.js";
import { useSecretFolders } from "../../support/server/certificates.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

const makeFolder = useSecretFolders();

/** Arguments, environment, streams and exit codes of the built program. */
describe("the splitcache program as a client", () => {
  let program: Program;
  let server: TestServer;
  let env: Record<string, string>;

  beforeAll(async () => {
    program = await buildProgram();
    server = await startTestServer();
    env = { SPLITCACHE_ADDRESS: server.address, SPLITCACHE_CLIENT_HOMESERVER: "example.org" };
  });

  afterAll(async () => {
    await program.remove();
    await server.stop();
  });

  it("names a missing event on stderr and exits with 3", async () => {
    expect(await program.run(["get", "$none"], env)).toEqual({
      code: 3,
      stdout: "",
      stderr: "missing: $none\n",
    });
  });

  it("changes the cache of the environment's homeserver", async () => {
    const { code, stdout, stderr } = await program.run(["purge-room", "!room", "-o", "json"], env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout).position).toMatch(/^[0-9a-f]{32}:1$/);
  });

  it("is an exec probe: exits with 0 if a sidecar serves, with 4 if none answers", async () => {
    expect(await program.run(["health"], env)).toMatchObject({ code: 0, stdout: "SERVING\n" });
    const nowhere = await program.run(["health", "--address", "127.0.0.1:1"]);
    expect(nowhere).toMatchObject({ code: 4, stdout: "" });
  });

  it("is an exec probe of a sidecar with TLS, with the environment of serve", async () => {
    const own = await (await makeFolder()).certificate("server");
    const secured = await startTestServer({ tlsCertFile: own.certFile, tlsKeyFile: own.keyFile });
    const serving = {
      SPLITCACHE_LISTEN: secured.address,
      SPLITCACHE_TLS_CERT_FILE: own.certFile,
      SPLITCACHE_TLS_KEY_FILE: own.keyFile,
      SPLITCACHE_HEALTH_LISTEN: secured.healthAddress,
    };
    const run = await program.run(["health"], serving);
    await secured.stop();
    expect(run).toEqual({ code: 0, stdout: "SERVING\n", stderr: "" });
  });

  it("calls a sidecar with TLS at an IP address without a warning", async () => {
    const own = await (await makeFolder()).certificate("server");
    const secured = await startTestServer({ tlsCertFile: own.certFile, tlsKeyFile: own.keyFile });
    const args = ["health", "--address", secured.address, "--tls-ca-file", own.certFile];
    const run = await program.run(args);
    await secured.stop();
    expect(run).toEqual({ code: 0, stdout: "SERVING\n", stderr: "" });
  });

  it("never goes through the proxy of the environment", async () => {
    // Nothing listens there.
    const nowhere = "http://127.0.0.1:1";
    const proxies = { grpc_proxy: nowhere, https_proxy: nowhere, http_proxy: nowhere, HTTP_PROXY: nowhere };
    const proxied = { ...env, ...proxies, NODE_USE_ENV_PROXY: "1" };
    expect(await program.run(["health"], proxied)).toMatchObject({ code: 0 });
    const http = server.httpUrl.slice("http://".length);
    expect(await program.run(["stats", "--http", http], proxied)).toMatchObject({ code: 0 });
  });

  it("exits with 2 for wrong usage, with one line and no stack", async () => {
    for (const args of [["get", "--no-such-flag"], ["get", "$one"], ["no-such-command"]]) {
      const { code, stdout, stderr } = await program.run(args);
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      expect(stderr).toMatch(/^\S.*\n/);
      expect(stderr).not.toMatch(/^ +at /m);
    }
  });
});
