import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  EXAMPLES,
  example,
  HELM,
  hasHelm,
  hasKubernetesValidate,
  helm,
  KUBERNETES_VALIDATE,
  MANIFESTS,
  ofKind,
  parseManifests,
  ROOT,
  render,
  sidecarOf,
} from "./chart.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "splitcache-chart-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Checks manifests against the schemas of Kubernetes; resources of other groups have none. */
function schemaErrors(text: string): string {
  const builtIn = text
    .split(/^---$/m)
    .filter((part) => /^kind:/m.test(part) && !/^apiVersion: monitoring\.coreos\.com/m.test(part));
  expect(builtIn.length).toBeGreaterThan(0);
  const file = join(folder, "manifests.yaml");
  writeFileSync(file, builtIn.join("---\n"));
  const args = ["-k", "1.33", "--strict", "--quiet", file];
  const run = spawnSync(KUBERNETES_VALIDATE, args, { encoding: "utf8" });
  return run.status === 0 ? "" : `${run.stdout}${run.stderr}`;
}

describe.skipIf(!hasHelm)("the chart", () => {
  it.each(EXAMPLES)("passes helm lint with the values of %s", (name) => {
    const { code, stdout, stderr } = helm("lint", "--strict", "-f", example(name));
    expect(`${stdout}${stderr}`).not.toMatch(/ERROR|WARNING/);
    expect(code).toBe(0);
  });

  it.skipIf(!hasKubernetesValidate).each(EXAMPLES)("renders objects of Kubernetes 1.33 from %s", (name) => {
    expect(schemaErrors(render("-f", example(name)))).toBe("");
  });

  it.skipIf(!hasKubernetesValidate)("finds a field that Kubernetes does not know", () => {
    const rendered = render("-f", example("service-memory.yaml"));
    expect(schemaErrors(rendered.replace("replicas: 1", "replica: 1"))).toContain("replica");
  });

  it("renders the committed manifests and the values of ess-helm", () => {
    const script = `${ROOT}scripts/write-manifests.mjs`;
    const run = spawnSync(process.execPath, [script, "--check"], {
      encoding: "utf8",
      env: { ...process.env, HELM },
    });
    expect(run.stderr).toBe("");
    expect(run.status).toBe(0);
  });

  const INSECURE = "config.insecure=true";
  const POSTGRES = "config.log=postgres://u@h:5432/d";
  it.each([
    // What the schema refuses.
    [["config.lissen=x"], /config.*lissen|lissen.*config/],
    [["config.memory=268435456"], /config.*memory/],
    [["config.calls_in_flight_max=0"], /config.*calls_in_flight_max/],
    [["secretFiles.listen.secretName=x"], /secretFiles.*listen|listen.*secretFiles/],
    [["secretFiles.log_password_file.secretName=x"], /secretFiles.*log_password_file/],
    [["mode=daemon"], /mode/],
    [["replica=2"], /replica/],
    [["replicas=0"], /replicas/],
    [["sidecar.socketMode=660"], /sidecar.*socketMode/],
    // What contradicts something else.
    [["replicas=2"], /replicas: more than 1 requires config\.log/],
    [["config.listen=127.0.0.1:1"], /config\.listen: is set by the chart/],
    [["config.http=off"], /config\.http: is set by the chart/],
    [["config.health_listen=127.0.0.1:1"], /config\.health_listen: is set by the chart/],
    [
      ["mode=sidecar", "sidecar.singlePod=true", "config.socket_mode=0600"],
      /config\.socket_mode: is set by the chart/,
    ],
    [
      [
        "config.tier_key_file=/k",
        "secretFiles.tier_key_file.secretName=a",
        "secretFiles.tier_key_file.key=b",
      ],
      /config\.tier_key_file: is also set by secretFiles\.tier_key_file/,
    ],
    [["config.log=postgres://u:secret@h:5432/d"], /config\.log: must not contain a password/],
    [["mode=sidecar"], /config\.log: mode sidecar requires/],
    [[], /secretFiles\.auth_file: is required by mode service/],
    [["config.tier=redis://h:1"], /config\.tier: requires config\.log/],
    [[POSTGRES, "config.tier=redis://h:1"], /secretFiles\.tier_key_file: is required by config\.tier/],
    [
      ["config.shutdown_timeout=30s"],
      /terminationGracePeriodSeconds: must exceed config\.shutdown_timeout \(30s\)/,
    ],
    [["config.shutdown_timeout=0.5m"], /terminationGracePeriodSeconds: must exceed/],
    [["terminationGracePeriodSeconds=10"], /terminationGracePeriodSeconds: must exceed/],
    [["metrics.podMonitor.enabled=true"], /metrics\.podMonitor\.enabled: is for mode sidecar/],
    [
      ["mode=sidecar", POSTGRES, "metrics.serviceMonitor.enabled=true"],
      /metrics\.serviceMonitor\.enabled: is for mode service/,
    ],
    [
      ["mode=sidecar", POSTGRES, "metrics.podMonitor.enabled=true"],
      /metrics\.podMonitor\.selector: is required/,
    ],
  ])("refuses %j with the name of the field", (values, message) => {
    const { code, stderr } = helm("template", ...values.flatMap((value) => ["--set", value]));
    expect(code).not.toBe(0);
    expect(stderr.replaceAll("\n", " ")).toMatch(message);
    expect(stderr).not.toContain("secret@");
  });

  it.each([
    [[INSECURE, "config.shutdown_timeout=29s"]],
    [[INSECURE, "config.shutdown_timeout=500ms", "terminationGracePeriodSeconds=1"]],
    [["mode=sidecar", "sidecar.singlePod=true"]],
    [[INSECURE, POSTGRES, "replicas=2"]],
    [[INSECURE, "config.homeserver=one.example"]],
    [[INSECURE, "config.log=postgres://user@h:5432/d?application_name=a@b"]],
    [["secretFiles.auth_file.secretName=a", "secretFiles.auth_file.key=b"]],
  ])("accepts %j", (values) => {
    expect(helm("template", ...values.flatMap((value) => ["--set", value]))).toMatchObject({ code: 0 });
  });

  it("keeps large counts as they are written", () => {
    const manifests = parseManifests(render("--set", INSECURE, "--set", "config.subscribers_max=100000"));
    expect(ofKind(manifests, "ConfigMap").data["splitcache.yaml"]).toContain("subscribers_max: 100000\n");
  });
});

describe("the plain manifests", () => {
  it.skipIf(!hasKubernetesValidate).each(MANIFESTS)("%s holds objects of Kubernetes 1.33", (name) => {
    expect(schemaErrors(readFileSync(`${ROOT}deploy/manifests/${name}`, "utf8"))).toBe("");
  });

  it.each(MANIFESTS)("%s runs the sidecar without rights", (name) => {
    const manifests = parseManifests(readFileSync(`${ROOT}deploy/manifests/${name}`, "utf8"));
    const container = sidecarOf(manifests);
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      runAsUser: 65532,
      runAsGroup: 65532,
      capabilities: { drop: ["ALL"] },
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(container.resources.limits.memory).toMatch(/^\d+Gi$/);
  });
});
