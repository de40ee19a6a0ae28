#!/usr/bin/env bash
# Installs what the tests of this folder need, into it: grpcurl (needs Go) and Python's reflection client.
set -euo pipefail
cd "$(dirname "$0")"
GOBIN="$PWD/.tools/bin" go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
python3 -m venv .tools/venv
.tools/venv/bin/pip install --quiet --disable-pip-version-check \
  grpcio==1.85.1 grpcio-reflection==1.85.1 protobuf==7.36.2
