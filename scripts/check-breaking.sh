#!/usr/bin/env bash
# The contract must not break what the last release promised; before there is one, what main held earlier.
set -euo pipefail
head=$(git rev-parse HEAD)
last_tag=$(git describe --tags --abbrev=0 2>/dev/null || true)
for baseline in "$last_tag" origin/main main HEAD~1; do
  commit=$(git merge-base HEAD "$baseline" 2>/dev/null) || continue
  # Compared with itself, nothing breaks.
  [[ $commit != "$head" ]] || continue
  echo "buf breaking against $baseline ($commit)"
  exec npx buf breaking --against ".git#ref=$commit"
done
echo "buf breaking: there is no earlier commit to compare with"
