import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { buildProgram, type Program, type RunningProgram } from "../support/build-program.js";
import { eventually } from "../support/eventually.js";
import { freePort } from "../support/free-port.js";
import { MANIFESTS, type Manifest, ofKind, parseManifests, ROOT, sidecarOf } from "./chart.js";

let program: Program;
let folder: string;
let running: RunningProgram | undefined;

beforeAll(async () => {
  program = await buildProgram();
});
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sc-"));
});
afterEach(async () => {
  running?.kill("SIGKILL");
  await running?.end;
  running = undefined;
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await program.remove();
});

/** A manifest for this machine: free ports, paths in a folder, a PostgreSQL that refuses connections. */
async function localManifests(name: string): Promise<Manifest[]> {
  let text = readFileSync(`${ROOT}deploy/manifests/${name}`, "utf8");
  for (const port of ["9464", "8086", "50051"]) text = text.replaceAll(port, String(await freePort()));
  text = text
    .replaceAll("/etc/splitcache/", `${folder}/`)
    .replaceAll("/run/splitcache", folder)
    .replaceAll("0.0.0.0:", "127.0.0.1:")
    .replaceAll(/(postgres|redis)\.matrix\.svc:\d+/g, "127.0.0.1:1");
  const manifests = parseManifests(text);
  const config = ofKind(manifests, "ConfigMap").data["splitcache.yaml"] ?? "";
  writeLocal(join(folder, "config/splitcache.yaml"), config);
  // The value of a Secret, and for sslrootcert a certificate.
  for (const [, key = ""] of config.matchAll(/^(\w+_file): /gm)) {
    writeLocal(join(folder, "secrets", key), "0123456789abcdef0123456789abcdef");
  }
  writeLocal(
    join(folder, "postgres/ca.crt"),
    readFileSync(join(import.meta.dirname, "authority.pem"), "utf8"),
  );
  return manifests;
}

function writeLocal(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

describe.each(MANIFESTS)("%s", (name) => {
  it("has a configuration that the sidecar accepts", async () => {
    const { args } = sidecarOf(await localManifests(name));
    const { code, stderr } = await program.run([...args, "--print-config"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });

  it("starts a sidecar whose probes and metrics answer where the manifest says", async () => {
    const manifests = await localManifests(name);
    const container = sidecarOf(manifests);
    running = program.start([...container.args]);
    await running.logLine("splitcache serves");
    const portOf = (name: string) => container.ports.find((port) => port.name === name)?.containerPort;
    for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
      if (probe === undefined) continue;
      const { path, port } = probe.httpGet;
      await eventually(async () =>
        expect((await fetch(`http://127.0.0.1:${portOf(port)}${path}`)).status).toBe(200),
      );
    }
    const metrics = await fetch(`http://127.0.0.1:${portOf("http-metrics")}/metrics`);
    expect(await metrics.text()).toContain("\nsplitcache_build_info{");
  });

  it("routes each port of its Service and its monitor to a port of the container", async () => {
    const manifests = await localManifests(name);
    const ports = sidecarOf(manifests).ports.map((port) => port.name);
    const services = manifests.filter(({ kind }) => kind === "Service");
    for (const service of services) {
      for (const { targetPort } of service.spec.ports) expect(ports).toContain(targetPort);
    }
    for (const { spec } of manifests.filter(({ kind }) => kind === "ServiceMonitor")) {
      expect(services.flatMap((service) => service.spec.ports.map((port) => port.name))).toContain(
        spec.endpoints[0]?.port,
      );
      expect(spec.endpoints[0]?.path).toBe("/metrics");
    }
  });
});
