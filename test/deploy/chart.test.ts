import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import {
  CHART,
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

/** The notes of an install, which helm template does not print: here as a value of a manifest. */
function notesOf(...args: readonly string[]): string {
  const chart = join(folder, "notes");
  cpSync(CHART, chart, { recursive: true });
  const notes = readFileSync(join(CHART, "templates/NOTES.txt"), "utf8");
  writeFileSync(join(chart, "templates/_notes.tpl"), `{{- define "notes" -}}\n${notes}{{- end -}}`);
  writeFileSync(join(chart, "templates/notes.yaml"), 'notes: |\n{{ include "notes" . | indent 2 }}\n');
  const options = ["--namespace", "matrix", "--kube-version", "1.33.0", "-s", "templates/notes.yaml"];
  const run = spawnSync(HELM, ["template", "cache", chart, ...options, ...args], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  return parse(run.stdout).notes;
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

  it("prints the values of ess-helm in mode sidecar, with the image of its values", () => {
    const notes = notesOf("-f", example("sidecar.yaml"), "--set", "image.repository=registry.example/s");
    const values = parse(notes.slice(notes.indexOf("\nsynapse:")));
    const expected = readFileSync(example("ess-synapse.yaml"), "utf8");
    expect(values).toEqual(parse(expected.replace("image: splitcache:", "image: registry.example/s:")));
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
