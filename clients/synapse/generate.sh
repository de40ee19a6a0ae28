#!/usr/bin/env bash
# Makes the messages' classes from the contract, with the protoc of the grpcio-tools package.
# They are private to the module: the name `splitcache` on PyPI is another project's.
# PYTHON names the interpreter that has grpcio-tools.
set -euo pipefail
cd "$(dirname "$0")"
package=splitcache_synapse/gen
"${PYTHON:-python3}" -m grpc_tools.protoc -I "$package=../../proto/splitcache/v1" \
  --python_out=src --pyi_out=src "$package/event_cache_service.proto"
