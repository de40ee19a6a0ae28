import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const CHART = `${ROOT}deploy/helm/splitcache`;

/** The program helm, and kubernetes-validate of PyPI. */
export const HELM = process.env["HELM"] || "helm";
export const KUBERNETES_VALIDATE = process.env["KUBERNETES_VALIDATE"] || "kubernetes-validate";
export const hasHelm = isInstalled(HELM, "version");
export const hasKubernetesValidate = isInstalled(KUBERNETES_VALIDATE, "--version");

/** The examples of values of this chart; the others are of ess-helm. */
export const EXAMPLES = readdirSync(`${CHART}/examples`).filter((name) => !name.startsWith("ess-"));
export const MANIFESTS = readdirSync(`${ROOT}deploy/manifests`);

export interface Port {
  readonly name: string;
  readonly containerPort: number;
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
  readonly periodSeconds: number;
  readonly failureThreshold?: number;
}

export interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: readonly object[];
  readonly ports: readonly Port[];
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe?: Probe;
  readonly lifecycle?: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
  readonly resources: { readonly limits: { readonly memory: string } };
  readonly securityContext: object;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

export interface PodSpec {
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
}

interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly targetPort: string;
  readonly appProtocol?: string;
}

/** What Prometheus scrapes. */
export interface Endpoint {
  readonly port: string;
  readonly path: string;
  readonly scheme?: string;
  readonly tlsConfig?: { readonly serverName?: string };
  readonly authorization?: object;
}

/** A Kubernetes object, with the fields that tests read; each kind has some of them. */
export interface Manifest {
  readonly kind: string;
  readonly data: Readonly<Record<string, string>>;
  readonly spec: {
    readonly type: string;
    readonly template: { readonly spec: PodSpec };
    readonly ports: readonly ServicePort[];
    readonly endpoints: readonly Endpoint[];
    readonly podMetricsEndpoints: readonly Endpoint[];
    readonly secretName: string;
    readonly dnsNames: readonly string[];
    readonly ingress: readonly {
      readonly from?: object;
      readonly ports: readonly { readonly port: string }[];
    }[];
  };
}

/** The container of the sidecar: the init container of a homeserver's pod, or the container of the Deployment. */
export function sidecarOf(manifests: readonly Manifest[]): Container {
  const { initContainers, containers } = ofKind(manifests, "Deployment", "StatefulSet").spec.template.spec;
  return (initContainers ?? containers)[0]!;
}

export function ofKind(manifests: readonly Manifest[], ...kinds: readonly string[]): Manifest {
  const found = manifests.find(({ kind }) => kinds.includes(kind));
  if (found === undefined) throw new Error(`no object of kind ${kinds.join(" or ")}`);
  return found;
}

export interface HelmRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of helm on the chart with values that --set syntax or files give. */
export function helm(command: "lint" | "template", ...args: readonly string[]): HelmRun {
  const words = command === "lint" ? ["lint", CHART] : ["template", "cache", CHART, "--namespace", "matrix"];
  const run = spawnSync(HELM, [...words, "--kube-version", "1.33.0", ...args], { encoding: "utf8" });
  return { code: run.status, stdout: run.stdout, stderr: run.stderr };
}

/** The objects that an example renders. */
export function render(...args: readonly string[]): string {
  const { code, stdout, stderr } = helm("template", ...args);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

export function example(name: string): string {
  return `${CHART}/examples/${name}`;
}

/** Reads the objects of a file of manifests. */
export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    const value: Manifest | null = document.toJS();
    return value === null ? [] : [value];
  });
}

function isInstalled(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: "ignore" }).status === 0;
}
