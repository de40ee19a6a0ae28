import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { get as getOverHttp } from "node:http";
import { get as getOverTls } from "node:https";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.js";
import { buildProgram, type Program, type RunningProgram } from "../support/program/build-program.js";
import { freePort } from "../support/program/free-port.js";
import { type Certificate, useSecretFolders } from "../support/server/certificates.js";
import { MANIFESTS, type Manifest, ofKind, parseManifests, ROOT, sidecarOf } from "./chart.js";

const makeFolder = useSecretFolders();
/** The token of Prometheus. */
const TOKEN = randomBytes(32).toString("hex");
const HOST = "cache-splitcache.matrix.svc";

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

interface Local {
  readonly manifests: Manifest[];
  /** The server's own, as cert-manager would make it. */
  readonly certificate: Certificate;
}

/** A manifest for this machine: free ports, paths in a folder, a PostgreSQL that refuses connections. */
async function localManifests(name: string): Promise<Local> {
  let rendered = readFileSync(`${ROOT}deploy/manifests/${name}`, "utf8");
  for (const port of ["9464", "8086", "50051"])
    rendered = rendered.replaceAll(port, String(await freePort()));
  rendered = rendered
    .replaceAll("/etc/splitcache/", `${folder}/`)
    .replaceAll("/run/splitcache", folder)
    .replaceAll(/(postgres|redis)\.matrix\.svc:\d+/g, "127.0.0.1:1");
  const manifests = parseManifests(rendered);
  const config = ofKind(manifests, "ConfigMap").data["splitcache.yaml"] ?? "";
  writeLocal(join(folder, "config/splitcache.yaml"), config);
  const certificate = await (await makeFolder()).certificate("server", { names: `DNS:${HOST}` });
  for (const [, key = ""] of config.matchAll(/^(\w+_file): /gm)) {
    writeLocal(join(folder, "secrets", key), secretOf(key, certificate));
  }
  // For sslrootcert.
  writeLocal(
    join(folder, "postgres/ca.crt"),
    readFileSync(join(import.meta.dirname, "authority.pem"), "utf8"),
  );
  return { manifests, certificate };
}

/** The content of a Secret, by the key of the configuration. */
function secretOf(key: string, { cert, key: privateKey }: Certificate): string {
  const digest = createHash("sha256").update(TOKEN).digest("hex");
  const clients = [{ name: "metrics", role: "metrics", tokens_sha256: [digest] }];
  const known: Record<string, string> = {
    auth_file: JSON.stringify({ clients }),
    tls_cert_file: cert,
    tls_key_file: privateKey,
  };
  return known[key] ?? "0123456789abcdef0123456789abcdef";
}

function writeLocal(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content, { mode: 0o600 });
}

/** Scrapes as the monitor of the manifests says. */
async function scrape(port: number | undefined, { manifests, certificate }: Local, token?: string) {
  const monitor = manifests.find(({ kind }) => kind === "ServiceMonitor");
  const { scheme = "http", tlsConfig } = monitor?.spec.endpoints[0] ?? {};
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const url = `${scheme}://127.0.0.1:${port}/metrics`;
  const trusted = { ca: certificate.cert, servername: tlsConfig?.serverName ?? "" };
  const request =
    scheme === "https"
      ? getOverTls(url, { headers, agent: false, ...trusted })
      : getOverHttp(url, { headers, agent: false });
  const [reply] = (await once(request, "response")) as [IncomingMessage];
  return { status: reply.statusCode, text: await text(reply) };
}

describe.each(MANIFESTS)("%s", (name) => {
  it("has a configuration that the sidecar accepts", async () => {
    const { args } = sidecarOf((await localManifests(name)).manifests);
    const { code, stderr } = await program.run([...args, "--print-config"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });

  it("starts a sidecar whose probes and metrics answer where the manifest says", async () => {
    const local = await localManifests(name);
    const container = sidecarOf(local.manifests);
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
    const { spec } = local.manifests.find(({ kind }) => kind === "ServiceMonitor") ?? {};
    const hasToken = spec?.endpoints[0]?.authorization !== undefined;
    const metrics = await scrape(portOf("http-metrics"), local, hasToken ? TOKEN : undefined);
    expect(metrics.text).toContain("\nsplitcache_build_info{");
    if (hasToken) expect((await scrape(portOf("http-metrics"), local)).status).toBe(401);
  });

  it("routes each port of its Service and its monitor to a port of the container", async () => {
    const { manifests } = await localManifests(name);
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
