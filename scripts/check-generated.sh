#!/usr/bin/env bash
# Generates src/gen once more and fails if that changes anything. The new files stay, to be committed.
set -euo pipefail
cd "$(dirname "$0")/.."
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -R src/gen/. "$before"
npm run generate --silent
diff -r "$before" src/gen > /dev/null || {
  echo "src/gen was not current and has been generated again: commit it" >&2
  exit 1
}
