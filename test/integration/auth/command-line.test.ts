import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { securityOf } from "../../../src/cli/client/security.js";
import { runCli } from "../../support/cli/run-cli.js";
import { eventually } from "../../support/eventually.js";
import { ALPHA, authYaml, cleanups, makeFolder, token } from "../../support/server/auth-server.js";
import { startTestServer } from "../../support/server/start-server.js";

describe("the token of a command", () => {
  it("does not cross a network in cleartext", async () => {
    const folder = await makeFolder();
    const env = { SPLITCACHE_CLIENT_TOKEN_FILE: await folder.write("token", token()) };
    const refused = /the token would cross the network to 192\.0\.2\.1:1 in cleartext; use --tls/;
    for (const command of [
      ["health", "--address", "192.0.2.1:1", "--timeout", "1ms"],
      ["stats", "--http", "192.0.2.1:1", "--timeout", "1ms"],
    ]) {
      expect((await runCli(command, { env })).stderr).toMatch(refused);
      expect((await runCli([...command, "--tls"], { env })).stderr).not.toMatch(refused);
    }
    const local = await runCli(["health", "--address", "localhost:1", "--timeout", "1ms"], { env });
    expect(local.stderr).not.toMatch(/cleartext/);
  });

  it("is read again by a watch that loses its rights, which goes on", async () => {
    const folder = await makeFolder();
    const [first, second] = [token(), token()];
    const digests = (...tokens: readonly string[]) =>
      tokens.map((text) => createHash("sha256").update(text).digest("hex"));
    const write = (...tokens: readonly string[]) => {
      const entry = {
        name: "a",
        role: "homeserver",
        homeservers: [ALPHA],
        tokens_sha256: digests(...tokens),
      };
      return folder.write("auth.yaml", authYaml([entry]));
    };
    const tokenFile = await folder.write("token", first);
    const server = await startTestServer(
      { authFile: await write(first) },
      { fileCheckIntervalMs: 3_600_000 },
    );
    cleanups.push(() => server.stop());
    const flags = ["-H", ALPHA, "--address", server.address, "--token-file", tokenFile];
    const subscribers = () => server.logLines.filter(({ msg }) => msg === "a subscriber connected").length;
    const watch = runCli(["watch", "--once", ...flags]);
    await eventually(() => expect(subscribers()).toBe(1));
    await folder.write("token", second);
    await write(second);
    server.reload();
    await eventually(() => expect(subscribers()).toBe(2));
    expect(await runCli(["invalidate", ...flags, "$a"])).toMatchObject({ code: 0 });
    expect(await watch).toMatchObject({ code: 0, stderr: expect.stringContaining("UNAUTHENTICATED") });
  });
});

describe("TLS of a command", () => {
  const flags = {
    ...{ tlsCaFile: undefined, tlsCertFile: undefined, tlsKeyFile: undefined },
    ...{ tlsServerName: undefined, tokenFile: undefined },
  };

  it("is on with --tls or its variable, and then trusts the authorities of Node.js", () => {
    const system = { ca: undefined, cert: undefined, key: undefined, serverName: undefined };
    expect(securityOf({ ...flags, tls: true }, {}).tls).toEqual(system);
    expect(securityOf({ ...flags, tls: false }, { SPLITCACHE_CLIENT_TLS: "true" }).tls).toEqual(system);
    expect(securityOf({ ...flags, tls: false }, { SPLITCACHE_CLIENT_TLS: "" }).tls).toBeUndefined();
    expect(() => securityOf({ ...flags, tls: false }, { SPLITCACHE_CLIENT_TLS: "1" })).toThrow(
      "SPLITCACHE_CLIENT_TLS=1: expected true or false",
    );
  });
});
