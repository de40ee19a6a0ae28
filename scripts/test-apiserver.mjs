// What deploy/test-apiserver.sh asks of the API server at KUBE_SERVER, as the client of KUBE_TOKEN:
//   ready | prepare | apply FILE | delete FILE | list | pods
import { readdirSync, readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";

const { KUBE_SERVER, KUBE_TOKEN, CRDS } = process.env;
const NAMESPACE = "matrix";
/** Kinds of other projects that the chart makes. Their fields are checked if CRDS names a folder of definitions. */
const CUSTOM = [
  ["monitoring.coreos.com", "ServiceMonitor"],
  ["monitoring.coreos.com", "PodMonitor"],
  ["monitoring.coreos.com", "PrometheusRule"],
  ["cert-manager.io", "Certificate"],
];
/** What the chart makes, by group and version. */
const KINDS = {
  v1: ["configmaps", "services", "serviceaccounts"],
  "apps/v1": ["deployments", "statefulsets"],
  "networking.k8s.io/v1": ["networkpolicies"],
  "policy/v1": ["poddisruptionbudgets"],
  "monitoring.coreos.com/v1": ["servicemonitors", "podmonitors", "prometheusrules"],
  "cert-manager.io/v1": ["certificates"],
};
/** What each namespace has. */
const BUILT_IN = /^(configmaps\/kube-root-ca\.crt|services\/kubernetes|serviceaccounts\/default)$/;

async function call(method, path, body, contentType = "application/json") {
  const reply = await fetch(`${KUBE_SERVER}${path}`, {
    method,
    headers: { authorization: `Bearer ${KUBE_TOKEN}`, "content-type": contentType },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const answer = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${answer.message}`);
  return answer;
}

const pathOf = (apiVersion, resource, name = "") =>
  `/${apiVersion.includes("/") ? "apis" : "api"}/${apiVersion}/namespaces/${NAMESPACE}/${resource}/${name}`;

const documentsIn = (file) =>
  parseAllDocuments(readFileSync(file, "utf8"))
    .map((document) => document.toJS())
    .filter((object) => object !== null);

const resourceOf = ({ kind }) => (kind.endsWith("y") ? kind.replace(/y$/, "ies") : `${kind}s`).toLowerCase();

async function prepare() {
  // The namespace enforces the strictest of the Pod Security Standards.
  const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
  await call("POST", "/api/v1/namespaces", { metadata: { name: NAMESPACE, labels } });
  // As the controller manager would.
  await call("POST", pathOf("v1", "serviceaccounts"), { metadata: { name: "default" } });
  for (const definition of CRDS
    ? readdirSync(CRDS).flatMap((name) => documentsIn(`${CRDS}/${name}`))
    : withoutFields()) {
    await call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition);
  }
  for (const [group, kind] of CUSTOM)
    await until(() => call("GET", pathOf(`${group}/v1`, `${kind.toLowerCase()}s`)));
}

/** Definitions that take any field. */
function withoutFields() {
  return CUSTOM.map(([group, kind]) => {
    const plural = `${kind.toLowerCase()}s`;
    const names = { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` };
    const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
    const versions = [{ name: "v1", served: true, storage: true, schema }];
    return {
      metadata: { name: `${plural}.${group}` },
      spec: { group, scope: "Namespaced", names, versions },
    };
  });
}

async function until(attempt) {
  for (let tries = 100; tries > 0; tries -= 1) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === 1) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Server-side apply, which refuses unknown fields. */
async function apply(file) {
  for (const object of documentsIn(file)) {
    const path = pathOf(object.apiVersion, resourceOf(object), object.metadata.name);
    const query = "?fieldManager=test&fieldValidation=Strict";
    await call("PATCH", path + query, object, "application/apply-patch+yaml");
  }
}

async function remove(file) {
  for (const object of documentsIn(file)) {
    await call("DELETE", pathOf(object.apiVersion, resourceOf(object), object.metadata.name));
  }
}

async function list() {
  for (const [apiVersion, resources] of Object.entries(KINDS)) {
    for (const resource of resources) {
      const { items } = await call("GET", pathOf(apiVersion, resource));
      for (const { metadata } of items) {
        const name = `${resource}/${metadata.name}`;
        if (!BUILT_IN.test(name)) console.log(name);
      }
    }
  }
}

/** Creates the pod of each workload without storing it: the admission of pods decides. */
async function pods() {
  for (const resource of KINDS["apps/v1"]) {
    const { items } = await call("GET", pathOf("apps/v1", resource));
    for (const { metadata, spec } of items) {
      const { initContainers = [], containers, ...rest } = spec.template.spec;
      // A native sidecar alone: what the homeserver's own container may do is not the chart's.
      const own =
        initContainers.length > 0 ? initContainers.map(({ restartPolicy: _, ...one }) => one) : containers;
      const pod = { metadata: { name: metadata.name }, spec: { ...rest, containers: own } };
      await call("POST", `${pathOf("v1", "pods")}?dryRun=All&fieldValidation=Strict`, pod);
    }
  }
}

const [command, file] = process.argv.slice(2);
const commands = { ready: () => call("GET", "/readyz"), prepare, apply, delete: remove, list, pods };
try {
  await commands[command](file);
} catch (error) {
  if (command !== "ready") console.error(error.message);
  process.exitCode = 1;
}
