#!/usr/bin/env bash
# Runs the README's examples, as they stand there, against a sidecar at the default address.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
node --max-semi-space-size=2 dist/main.js serve --http off --log-level warn &
sidecar=$!
trap 'kill "$sidecar"; wait "$sidecar"; rm -rf "$work" .readme-example.mjs' EXIT
node dist/main.js wait --timeout 30s

# The block behind a marker.
example() { awk -v marker="<!-- example:$1 -->" '$0 == marker {found = 1; next} found && /^```/ {if (inside) exit; inside = 1; next} inside' README.md; }

# As on a machine behind a proxy: nothing may be sent to it. Nobody listens at port 9 (discard).
behind_proxy() {
  env -u no_proxy -u NO_PROXY -u no_grpc_proxy grpc_proxy=http://127.0.0.1:9 \
    http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 "$@"
}

# Prints what a command prints, and fails unless it is what the README promises.
expect() {
  local wanted=$1 printed
  shift
  printed=$(behind_proxy "$@")
  echo "$printed"
  [[ $printed == "$wanted" ]] || { echo "expected: $wanted" >&2; return 1; }
}

example node >.readme-example.mjs
expect "[ '\$event' ] [ 'PUT_OUTCOME_STORED' ] {}" node .readme-example.mjs

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check grpcio grpcio-tools
"$work/venv/bin/python" -m grpc_tools.protoc -I splitcache_proto=proto/splitcache \
  --python_out="$work" --grpc_python_out="$work" splitcache_proto/v1/event_cache_service.proto
example python >"$work/example.py"
expect $'ready\n[\'room_purged\']' env PYTHONPATH="$work" "$work/venv/bin/python" "$work/example.py"
