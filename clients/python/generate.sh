#!/usr/bin/env bash
# Makes the messages' classes from the contract, with the protoc of the grpcio-tools package.
# They are private to the module: the name `splitcache` on PyPI is another project's.
# Their protobuf package is renamed. protobuf keeps all names of a process in one table, and refuses
# a second definition of a name: Synapse would not start if another module had its own stubs of the
# contract. Messages on the wire do not carry the package. The path of a call does, so the module
# writes that path out.
# PYTHON names the interpreter that has grpcio-tools.
set -euo pipefail
cd "$(dirname "$0")"
package=splitcache_client/gen
proto=event_cache_service.proto
declaration='package splitcache.v1;'

renamed=$(mktemp -d)
trap 'rm -rf "$renamed"' EXIT
sed "s|^$declaration\$|package ${package//\//.};|" "../../proto/splitcache/v1/$proto" > "$renamed/$proto"
if cmp -s "../../proto/splitcache/v1/$proto" "$renamed/$proto"; then
  echo "$proto has no line \"$declaration\" to rename" >&2
  exit 1
fi
"${PYTHON:-python3}" -m grpc_tools.protoc -I "$package=$renamed" \
  --python_out=src --pyi_out=src "$package/$proto"
