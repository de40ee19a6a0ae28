#!/usr/bin/env bash
# Runs the examples of docs/clients.md, docs/clients and the README's first session, as they stand there, against a
# sidecar at the default address.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
node --max-semi-space-size=2 dist/main.js serve --http off --log-level warn &
sidecar=$!
trap 'kill "$sidecar"; wait "$sidecar"; rm -rf "$work" .docs-example.mjs' EXIT
node dist/main.js wait --timeout 30s

# The block of a page behind a marker.
example() {
  awk -v marker="<!-- example:$2 -->" \
    '$0 == marker {found = 1; next} found && /^```/ {if (inside) exit; inside = 1; next} inside' "$1"
}

# As on a machine behind a proxy: nothing may be sent to it. Nobody listens at port 9 (discard).
behind_proxy() {
  env -u no_proxy -u NO_PROXY -u no_grpc_proxy grpc_proxy=http://127.0.0.1:9 \
    http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 "$@"
}

# Prints what a command prints, and fails unless it is as promised.
expect() {
  local wanted=$1 printed
  shift
  printed=$(behind_proxy "$@")
  echo "$printed"
  [[ $printed == "$wanted" ]] || { echo "expected: $wanted" >&2; return 1; }
}

# Waits until a file has so many lines, at most 10 s.
has_lines() {
  local tries=100
  until (($(wc -l <"$1") >= $2)); do ((tries-- > 0)) || return 1; sleep 0.1; done
}

# The README's first session, command by command, while `watch` follows. Epochs are random.
session() {
  local line watch
  {
    echo "shopt -s expand_aliases"
    example README.md session | while IFS= read -r line; do
      [[ $line == '$ '* ]] && printf 'printf "%%s\\n" %q\n%s\n' "$line" "${line#'$ '}"
    done
  } >"$work/session.sh"
  node dist/main.js watch --homeserver alpha.example >"$work/watch.txt" 2>/dev/null &
  watch=$!
  has_lines "$work/watch.txt" 1 && bash "$work/session.sh" 2>&1
  has_lines "$work/watch.txt" 3
  kill "$watch"
  wait "$watch" || true
  cat "$work/watch.txt"
}
without_epochs() { sed -E 's/[0-9a-f]{32}/EPOCH/'; }

wanted=$({ example README.md session; example README.md watch; } | without_epochs)
printed=$(session | without_epochs)
echo "$printed"
diff <(echo "$wanted") <(echo "$printed")

example docs/clients.md node >.docs-example.mjs
expect "[ '\$event' ] [ 'PUT_OUTCOME_STORED' ] {}" node .docs-example.mjs

npx tsc -p clients/node/tsconfig.json
mkdir -p "$work/node_modules/@splitcache"
ln -s "$PWD/clients/node" "$work/node_modules/@splitcache/client"
example docs/clients/node.md node-client >"$work/client.mjs"
expect "$(example docs/clients/node.md node-client-output)" node "$work/client.mjs"

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check grpcio grpcio-tools
"$work/venv/bin/python" -m grpc_tools.protoc -I splitcache_proto=proto/splitcache \
  --python_out="$work" --grpc_python_out="$work" splitcache_proto/v1/event_cache_service.proto
example docs/clients.md python >"$work/example.py"
expect $'ready\n[\'room_purged\']' env PYTHONPATH="$work" "$work/venv/bin/python" "$work/example.py"

"$work/venv/bin/pip" install --quiet --disable-pip-version-check ./clients/python
example docs/clients/python.md python-client >"$work/client.py"
wanted=$(example docs/clients/python.md python-client-output)
(cd "$work" && expect "$wanted" venv/bin/python client.py)
