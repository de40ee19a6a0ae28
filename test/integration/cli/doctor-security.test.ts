import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { ExitCode } from "../../../src/cli/exit-code.js";
import { findings } from "../../support/cli/doctor.js";
import { type Certificate, useSecretFolders } from "../../support/server/certificates.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

const makeFolder = useSecretFolders();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(...given: Parameters<typeof startTestServer>): Promise<TestServer> {
  const server = await startTestServer(...given);
  cleanups.push(() => server.stop());
  return server;
}

describe("splitcache doctor, over TLS", () => {
  const tlsOf = ({ certFile, keyFile }: Certificate) => ({ tlsCertFile: certFile, tlsKeyFile: keyFile });

  it("says until when the certificate is valid, and checks everything else over TLS too", async () => {
    const own = await (await makeFolder()).certificate("server");
    const server = await start(tlsOf(own));
    const { code, found, results } = await findings(
      ["-H", "example.org", "--tls-ca-file", own.certFile],
      server,
    );
    expect(code).toBe(ExitCode.done);
    expect(found[1]).toMatchObject({ check: "tls", message: expect.stringContaining("TLSv1.3") });
    expect(results).toMatchObject({ tls: "ok", service: "ok", homeserver: "ok", clock: "ok" });
    expect(results["version"]).toBe("warning");
  });

  /** What the last check finds at a sidecar with TLS. */
  async function lastOf(server: TestServer, ...args: string[]) {
    const { code, found } = await findings(args, server);
    expect(code).toBe(ExitCode.failure);
    return found.at(-1);
  }

  it("recognises a listener that expects TLS", async () => {
    const own = await (await makeFolder()).certificate("server");
    const last = await lastOf(await start(tlsOf(own)));
    expect(last).toMatchObject({ check: "tls", message: "the listener expects TLS" });
    expect(last.remedy).toContain("--tls-ca-file");
  });

  it("recognises an authority that the client does not trust", async () => {
    const folder = await makeFolder();
    const [ca, other] = [await folder.certificate("ca"), await folder.certificate("other")];
    const server = await start(tlsOf(await folder.certificate("server", { signer: ca })));
    expect(await lastOf(server, "--tls-ca-file", other.certFile)).toMatchObject({
      check: "tls",
      message: expect.stringContaining("does not trust the authority"),
    });
    // With another authority of the same name, the signature does not fit.
    const impostor = await (await makeFolder()).certificate("ca");
    expect((await lastOf(server, "--tls-ca-file", impostor.certFile)).message).toContain("does not trust");
  });

  it("recognises a name that the certificate does not have", async () => {
    const own = await (await makeFolder()).certificate("server", { names: "DNS:sidecar.internal" });
    const server = await start(tlsOf(own));
    const flags = ["--tls-ca-file", own.certFile];
    expect(await lastOf(server, ...flags)).toMatchObject({
      check: "tls",
      message: "the sidecar's certificate is for DNS:sidecar.internal, not for the host of the address",
    });
    const { message } = await lastOf(server, ...flags, "--tls-server-name", "other.internal");
    expect(message).toContain("not for other.internal");
    const { code } = await findings([...flags, "--tls-server-name", "sidecar.internal"], server);
    expect(code).toBe(ExitCode.done);
  });

  it("recognises an expired certificate", async () => {
    const folder = await makeFolder();
    const ca = await folder.certificate("ca");
    // A sidecar does not start with an expired certificate, but its own may expire while it runs.
    const expired = await folder.certificate("expired", { signer: ca, days: -1 });
    const listener = createServer({ ...expired, ALPNProtocols: ["h2"] }).on("tlsClientError", () => {});
    cleanups.push(() => listener.close());
    await once(listener.listen(0, "127.0.0.1"), "listening");
    const address = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
    const { found } = await findings(["--address", address, "--tls-ca-file", ca.certFile]);
    expect(found.at(-1)).toMatchObject({ check: "tls", message: expect.stringContaining("has expired") });
  });

  it("recognises a listener without TLS, and the HTTP listener", async () => {
    const own = await (await makeFolder()).certificate("server");
    const flags = ["--tls-ca-file", own.certFile];
    expect(await lastOf(await start(), ...flags)).toMatchObject({
      check: "tls",
      message: "the listener does not use TLS",
    });
    const server = await start(tlsOf(own));
    const http = server.httpUrl.slice("http://".length);
    expect((await lastOf(server, ...flags, "--address", http)).message).toBe(
      "the listener uses TLS but not gRPC",
    );
  });

  it("recognises a client certificate that is missing or refused", async () => {
    const folder = await makeFolder();
    const [own, ca] = [await folder.certificate("server"), await folder.certificate("ca")];
    const good = await folder.certificate("good", { signer: ca });
    const other = await folder.certificate("other");
    const server = await start({ ...tlsOf(own), tlsClientCaFile: ca.certFile });
    const flags = ["--tls-ca-file", own.certFile];
    const asClient = ({ certFile, keyFile }: Certificate) => [
      ...[...flags, "--tls-cert-file", certFile, "--tls-key-file", keyFile],
    ];
    expect((await lastOf(server, ...flags)).message).toBe("the sidecar requires a client certificate");
    expect((await lastOf(server, ...asClient(other))).message).toBe(
      "the sidecar does not accept this client certificate",
    );
    expect((await findings(asClient(good), server)).code).toBe(ExitCode.done);
  });
});

describe("splitcache doctor, with an auth file", () => {
  async function authenticated() {
    const folder = await makeFolder();
    const tokenFiles = {
      alpha: await folder.write("alpha", randomBytes(32).toString("hex")),
      operator: await folder.write("operator", randomBytes(32).toString("hex")),
      unknown: await folder.write("unknown", randomBytes(32).toString("hex")),
    };
    const clients = [
      { name: "a", role: "homeserver", homeservers: ["alpha.example"], token_files: ["alpha"] },
      { name: "o", role: "operator", token_files: ["operator"] },
    ];
    const server = await start({ authFile: await folder.write("auth.yaml", JSON.stringify({ clients })) });
    return { server, tokenFiles };
  }

  it("finds nothing wrong with a client of a homeserver; the version is for operators", async () => {
    const { server, tokenFiles } = await authenticated();
    const { code, found, results } = await findings(
      ["-H", "alpha.example", "--token-file", tokenFiles.alpha],
      server,
    );
    expect(code).toBe(ExitCode.done);
    expect(results).toMatchObject({ credentials: "ok", homeserver: "ok", clock: "ok", version: "skipped" });
    expect(found.at(-1).message).toContain("a client of role operator");
    const asOperator = await findings(["--token-file", tokenFiles.operator], server);
    expect(asOperator.results).toMatchObject({ credentials: "ok", version: "warning" });
  });

  it.each([
    ["missing", [], /^the sidecar refuses this client: credentials are required/, /--token-file/],
    ["unknown", ["unknown"], /the token is not valid/, /rotation/],
  ] as const)("recognises a token that is %s", async (_, files, message, remedy) => {
    const { server, tokenFiles } = await authenticated();
    const { code, found, results } = await findings(
      ["-H", "alpha.example", ...files.flatMap((name) => ["--token-file", tokenFiles[name]])],
      server,
    );
    expect(code).toBe(ExitCode.failure);
    // Health needs no credentials, and neither does the clock.
    expect(results).toMatchObject({ service: "ok", log: "ok", credentials: "failed", clock: "ok" });
    expect(found.filter(({ result }) => result === "failed")).toEqual([
      {
        check: "credentials",
        result: "failed",
        message: expect.stringMatching(message),
        remedy: expect.stringMatching(remedy),
      },
    ]);
  });

  it("recognises a homeserver that the token may not use", async () => {
    const { server, tokenFiles } = await authenticated();
    const { code, found } = await findings(["-H", "beta.example", "--token-file", tokenFiles.alpha], server);
    expect(code).toBe(ExitCode.failure);
    expect(found.find(({ check }) => check === "permission")).toMatchObject({
      result: "failed",
      message: expect.stringContaining("may not act for the homeserver"),
      remedy: expect.stringContaining("auth file"),
    });
  });
});
