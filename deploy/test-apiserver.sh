#!/usr/bin/env bash
# Installs the chart at a real Kubernetes API server, which validates, admits and stores each object: each
# example is installed, upgraded, rolled back and removed, and the plain manifests are applied. The pods must
# pass the Pod Security Standard "restricted". There is no kubelet, so no pod runs.
# CRDS names a folder of CustomResourceDefinitions; without it the kinds of Prometheus' operator and of
# cert-manager take any field.
# Needs etcd, helm and Go. ETCD, HELM and KUBE_APISERVER name the programs; without KUBE_APISERVER it is built
# from its Go module into .tools/, which takes some ten minutes once.
set -euo pipefail
cd "$(dirname "$0")/.."
KUBERNETES=1.33.13
ETCD=${ETCD:-etcd} HELM=${HELM:-helm}
CHART=deploy/helm/splitcache

work=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" && wait "$pid" || true; done 2> /dev/null
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

# The published modules take the place of the folders that Kubernetes' own go.mod names.
build_apiserver() {
  local source staged
  mkdir -p "$1"
  source=$(go mod download -json "k8s.io/kubernetes@v$KUBERNETES" | sed -nE 's/^\t"Dir": "(.*)",$/\1/p')
  cp "$source/cmd/kube-apiserver/apiserver.go" "$1/main.go"
  {
    printf 'module apiserver\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v%s\n\n' "$KUBERNETES"
    for staged in $(sed -nE 's|^\t(k8s\.io/[a-z-]+) v0\.0\.0$|\1|p' "$source/go.mod"); do
      echo "replace $staged => $staged v0.${KUBERNETES#1.}"
    done
  } > "$1/go.mod"
  local version="k8s.io/component-base/version"
  (cd "$1" && go mod tidy && go build -o kube-apiserver -ldflags="-s -w -X $version.gitVersion=v$KUBERNETES \
    -X $version.gitMajor=1 -X $version.gitMinor=${KUBERNETES:2:2}" .)
}
if [[ -z ${KUBE_APISERVER:-} ]]; then
  KUBE_APISERVER=$PWD/.tools/apiserver/kube-apiserver
  [[ -x $KUBE_APISERVER ]] || build_apiserver "$PWD/.tools/apiserver"
fi

mapfile -t ports < <(node -e '
  for (let count = 0; count < 3; count += 1) {
    const server = require("node:net").createServer().listen(0, "127.0.0.1", () => {
      console.log(server.address().port);
      setImmediate(() => server.close());
    });
  }')
"$ETCD" --data-dir "$work/etcd" --unsafe-no-fsync --listen-client-urls "http://127.0.0.1:${ports[0]}" \
  --advertise-client-urls "http://127.0.0.1:${ports[0]}" --listen-peer-urls "http://127.0.0.1:${ports[1]}" \
  --initial-advertise-peer-urls "http://127.0.0.1:${ports[1]}" \
  --initial-cluster "default=http://127.0.0.1:${ports[1]}" > "$work/etcd.log" 2>&1 &
pids+=($!)
token=$(openssl rand -hex 16)
echo "$token,admin,admin,system:masters" > "$work/tokens.csv"
openssl genrsa -out "$work/sa.key" 2048 2> /dev/null
"$KUBE_APISERVER" --etcd-servers "http://127.0.0.1:${ports[0]}" --bind-address 127.0.0.1 \
  --secure-port "${ports[2]}" --cert-dir "$work/certificates" --token-auth-file "$work/tokens.csv" \
  --authorization-mode RBAC --service-cluster-ip-range 10.0.0.0/24 \
  --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$work/sa.key" \
  --service-account-signing-key-file "$work/sa.key" > "$work/apiserver.log" 2>&1 &
pids+=($!)

export KUBE_SERVER=https://127.0.0.1:${ports[2]} KUBE_TOKEN=$token
export NODE_EXTRA_CA_CERTS=$work/certificates/apiserver.crt
for _ in {1..1200}; do
  [[ -s $NODE_EXTRA_CA_CERTS ]] && node scripts/test-apiserver.mjs ready && break
  kill -0 "${pids[1]}" || fail "the API server ended: $(tail -n 5 "$work/apiserver.log")"
  sleep 0.1
done
cat > "$work/kubeconfig" << END
apiVersion: v1
kind: Config
clusters: [{ name: test, cluster: { server: "$KUBE_SERVER", certificate-authority: "$NODE_EXTRA_CA_CERTS" } }]
users: [{ name: admin, user: { token: "$token" } }]
contexts: [{ name: test, context: { cluster: test, user: admin } }]
current-context: test
END
export KUBECONFIG=$work/kubeconfig HELM_CACHE_HOME=$work/helm HELM_CONFIG_HOME=$work/helm HELM_DATA_HOME=$work/helm
node scripts/test-apiserver.mjs prepare
echo "Kubernetes $KUBERNETES serves at $KUBE_SERVER"

helm() { "$HELM" --namespace matrix "$@" > "$work/helm.log" 2>&1 || fail "helm $*: $(cat "$work/helm.log")"; }
for values in "$CHART"/examples/{service,sidecar}*.yaml; do
  helm install cache "$CHART" -f "$values"
  node scripts/test-apiserver.mjs pods
  helm upgrade cache "$CHART" -f "$values" --set config.log_level=debug
  helm rollback cache 1
  helm uninstall cache
  left=$(node scripts/test-apiserver.mjs list)
  [[ -z $left ]] || fail "helm uninstall leaves: $left"
  echo "ok: $values"
done
for manifests in deploy/manifests/*.yaml; do
  node scripts/test-apiserver.mjs apply "$manifests"
  node scripts/test-apiserver.mjs pods
  node scripts/test-apiserver.mjs delete "$manifests"
  echo "ok: $manifests"
done
