import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer as createTcpServer } from "node:net";
import { describe, expect, it } from "vitest";
import { useCliSidecar } from "../../support/cli/cli-sidecar.js";

const sidecar = useCliSidecar();
const { run } = sidecar;

describe("stats", () => {
  it("shows the sidecar's metrics in a table and every sample as JSON", async () => {
    await run(["get", "$one"]);
    const http = sidecar.server.httpUrl.slice("http://".length);
    const table = await run(["stats", "--http", http]);
    expect(table.code).toBe(0);
    expect(table.stdout).toMatch(/^METRIC +LABELS +VALUE\n/);
    expect(table.stdout).toMatch(/^grpc_server_handling_seconds_mean +.*GetEvents/m);
    expect(table.stdout).not.toContain("_bucket");
    const json = await run(["stats", "-o", "json"], { env: { SPLITCACHE_HTTP: http } });
    const names = json.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).name);
    expect(names).toContain("grpc_server_handling_seconds_bucket");
  });

  it("takes the URL of the listener as well", async () => {
    expect(await run(["stats", "--http", sidecar.server.httpUrl])).toMatchObject({ code: 0, stderr: "" });
    expect(await run(["stats", "--http", `${sidecar.server.httpUrl}/metrics`])).toMatchObject({ code: 0 });
  });

  it("names the address where nothing answers and exits with 4", async () => {
    const { code, stderr } = await run(["stats", "--http", "127.0.0.1:1"]);
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: "splitcache: http://127.0.0.1:1/metrics cannot be read: connect ECONNREFUSED 127.0.0.1:1\n",
    });
  });

  it("stats ends in time if the server does not answer", async () => {
    const silent = createTcpServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const http = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const { code, stderr } = await run(["stats", "--http", http, "--timeout", "50ms"]);
    silent.close();
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: `splitcache: http://${http}/metrics did not answer in time\n`,
    });
  });
});

describe("health and wait", () => {
  it("exit with 0 if the sidecar serves", async () => {
    expect(await run(["health"])).toEqual({ code: 0, stdout: "SERVING\n", stderr: "" });
    expect(await run(["wait"])).toEqual({ code: 0, stdout: "", stderr: "" });
    expect((await run(["wait", "-o", "json"])).stdout).toBe('{"status":"SERVING"}\n');
  });

  it("find the sidecar at the listener of its own environment", async () => {
    const env = { SPLITCACHE_LISTEN: `${sidecar.server.address},unix:/run/splitcache/s` };
    expect(await run(["health"], { env })).toMatchObject({ code: 0, stdout: "SERVING\n" });
  });

  it("exit with 4 if nothing answers", async () => {
    expect((await run(["health", "--address", "127.0.0.1:1"])).code).toBe(4);
    const { code, stderr } = await run(["wait", "--address", "127.0.0.1:1", "--timeout", "300ms"]);
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: "splitcache: 127.0.0.1:1 did not become ready within 300 ms\n",
    });
  });
});
