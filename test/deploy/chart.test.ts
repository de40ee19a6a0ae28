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
    .filter(
      (part) =>
        /^kind:/m.test(part) && !/^apiVersion: (monitoring\.coreos\.com|cert-manager\.io)/m.test(part),
    );
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
