import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { ExitCode } from "../../../src/cli/exit-code.js";
import { findings } from "../../support/cli/doctor.js";
import { runCli } from "../../support/cli/run-cli.js";
import { freePort } from "../../support/program/free-port.js";
import { startTestServer, type TestServer } from "../../support/server/start-server.js";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(...given: Parameters<typeof startTestServer>): Promise<TestServer> {
  const server = await startTestServer(...given);
  cleanups.push(() => server.stop());
  return server;
}

describe("splitcache doctor", () => {
  it("finds nothing wrong with a sidecar that serves", async () => {
    const server = await start();
    const { code, results } = await findings(["-H", "example.org"], server);
    expect(code).toBe(ExitCode.done);
    expect(results).toEqual({
      address: "ok",
      service: "ok",
      log: "ok",
      tier: "skipped",
      credentials: "ok",
      homeserver: "ok",
      latency: expect.stringMatching(/ok|warning/),
      // The sidecar of the test says that it is 0.0.0-test.
      version: "warning",
      clock: "ok",
    });
  });

  it("says what is wrong and what to do, for people", async () => {
    const { code, stdout } = await runCli(["doctor", "--address", `127.0.0.1:${await freePort()}`]);
    expect(code).toBe(ExitCode.unavailable);
    expect(stdout).toMatch(/^address +failed +127\.0\.0\.1:\d+: nothing listens there$/m);
    expect(stdout).toMatch(/^address: Start the sidecar/m);
  });

  it.each([
    ["unix:/nonexistent/splitcache.sock", "the socket does not exist"],
    ["no-such-host.invalid:50051", "the host name"],
  ])("names the fault of the address %s", async (address, problem) => {
    const { code, found } = await findings(["--address", address]);
    expect(code).toBe(ExitCode.unavailable);
    expect(found).toEqual([
      expect.objectContaining({
        check: "address",
        result: "failed",
        message: expect.stringContaining(problem),
      }),
    ]);
  });

  it("recognises the HTTP port", async () => {
    const server = await start();
    const { code, found } = await findings(["--address", server.httpUrl.slice("http://".length)]);
    expect(code).toBe(ExitCode.failure);
    expect(found.at(-1)).toMatchObject({ check: "protocol", message: "this is an HTTP listener, not gRPC" });
  });

  it("recognises a listener that answers nothing", async () => {
    const silent = createServer((socket) => socket.on("error", () => {}));
    cleanups.push(() => silent.close());
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const { found } = await findings(["--address", `127.0.0.1:${port}`, "--timeout", "300ms"]);
    expect(found.at(-1)).toMatchObject({ check: "protocol", result: "failed" });
  });

  it("reports a homeserver that the sidecar does not serve", async () => {
    const server = await start({ homeservers: ["example.org" as never] });
    const { code, results } = await findings(["-H", "example.com"], server);
    expect(code).toBe(ExitCode.failure);
    expect(results).toMatchObject({ service: "ok", homeserver: "failed" });
  });
});
