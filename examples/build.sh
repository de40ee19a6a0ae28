#!/usr/bin/env bash
# Makes the stubs and builds the example programs: all, or the languages named.
set -euo pipefail
cd "$(dirname "$0")/.."

build_python() {
  python3 -m venv examples/python/.venv
  examples/python/.venv/bin/pip install --quiet --disable-pip-version-check -r examples/python/requirements.txt
  examples/python/.venv/bin/python -m grpc_tools.protoc -I splitcache_proto=proto/splitcache \
    --python_out=examples/python --pyi_out=examples/python --grpc_python_out=examples/python \
    splitcache_proto/v1/event_cache_service.proto
}

build_go() {
  (cd examples/go && GOBIN="$PWD/bin" go install tool)
  PATH="$PWD/examples/go/bin:$PATH" npx buf generate --template examples/go/buf.gen.yaml
  (cd examples/go && go build -o bin/splitcache-example .)
}

build_java() {
  mvn -q -B -f examples/java/pom.xml initialize
  chmod +x examples/java/target/tools/*
  npx buf generate --template examples/java/buf.gen.yaml
  mvn -q -B -f examples/java/pom.xml package
}

languages=("$@")
[[ $# -gt 0 ]] || languages=(python go java)
for language in "${languages[@]}"; do "build_$language"; done
