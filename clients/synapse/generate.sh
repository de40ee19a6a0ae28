#!/usr/bin/env bash
# Makes the messages' classes from the contract, with the protoc of the grpcio-tools package.
# PYTHON names the interpreter that has it.
set -euo pipefail
cd "$(dirname "$0")"
"${PYTHON:-python3}" -m grpc_tools.protoc -I ../../proto --python_out=src --pyi_out=src \
  splitcache/v1/event_cache_service.proto
