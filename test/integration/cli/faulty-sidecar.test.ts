import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { status } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import type { FakeSidecar } from "../../support/cli/fake-sidecar.js";
import { startFakeSidecar } from "../../support/cli/fake-sidecar.js";
import { runCli } from "../../support/cli/run-cli.js";

describe("the client commands against a faulty sidecar", () => {
  let sidecar: FakeSidecar | undefined;

  afterEach(() => sidecar?.stop());

  it("health exits with 1 if the sidecar does not serve, and wait continues", async () => {
    sidecar = await startFakeSidecar();
    sidecar.health.setStatus("", "NOT_SERVING");
    expect(await runCli(["health", "--address", sidecar.address, "-o", "json"])).toEqual({
      code: 1,
      stdout: '{"status":"NOT_SERVING"}\n',
      stderr: "",
    });
    const waiting = runCli(["wait", "--address", sidecar.address]);
    sidecar.health.setStatus("", "SERVING");
    expect((await waiting).code).toBe(0);
  });

  it("health and wait report a sidecar that is unavailable", async () => {
    const headers = { "content-type": "application/grpc", "grpc-status": "14", "grpc-message": "starting" };
    const server = createServer();
    server.on("stream", (stream) => stream.respond(headers, { endStream: true }));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const health = await runCli(["health", "--address", address]);
    const wait = await runCli(["wait", "--address", address, "--timeout", "200ms"]);
    server.close();
    expect(health).toMatchObject({
      code: 4,
      stderr: `splitcache: the sidecar at ${address} is unavailable: starting\n`,
    });
    expect(wait).toMatchObject({
      code: 4,
      stderr: `splitcache: ${address} did not become ready within 200 ms\n`,
    });
  });

  it("a call without an answer ends at its deadline, with 4", async () => {
    sidecar = await startFakeSidecar({ getEvents: () => {} });
    const args = ["get", "-H", "h", "--address", sidecar.address, "--timeout", "200ms", "$one"];
    const { code, stderr } = await runCli(args);
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: `splitcache: ${sidecar.address} did not answer in time\n`,
    });
  });

  it("an interrupted command ends at once, with 130", async () => {
    const interrupt = new AbortController();
    sidecar = await startFakeSidecar({ getEvents: () => interrupt.abort() });
    const args = ["get", "-H", "h", "--address", sidecar.address, "$one"];
    const { code, stderr } = await runCli(args, { signal: interrupt.signal });
    expect({ code, stderr }).toEqual({ code: 130, stderr: "splitcache: interrupted\n" });
  });

  it("the text of an error cannot control the terminal", async () => {
    sidecar = await startFakeSidecar({
      getEvents: (_call, reply) => reply({ code: status.INTERNAL, details: "\u001b[2J" }),
    });
    const { code, stderr } = await runCli(["get", "-H", "h", "--address", sidecar.address]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "splitcache: INTERNAL: \\u{1b}[2J\n" });
  });
});
