#!/usr/bin/env bash
# The contract must not break what the last release promised. Compares proto/ with the newest release tag
# (vX.Y.Z) before HEAD; without one, with the commit before HEAD.
set -euo pipefail
cd "$(dirname "$0")/.."

# Release tags, the newest version first; arguments select tags.
release_tags() { git tag --list --sort=-version:refname "$@" | grep -E '^v[0-9]+\.[0-9]+\.[0-9]+$' || true; }

is_shallow=$(git rev-parse --is-shallow-repository)
# A tag at HEAD has the same contract.
tag=$(release_tags --merged HEAD --no-contains HEAD | head -n 1)
# A shallow clone does not know which tags precede HEAD.
[[ -n $tag || $is_shallow == false ]] || tag=$(release_tags --no-contains HEAD | head -n 1)

if [[ -n $tag ]]; then
  name="the release $tag" commit=$(git rev-parse --verify "$tag^{commit}")
elif commit=$(git rev-parse --verify --quiet 'HEAD~1^{commit}'); then
  name="HEAD~1 (there is no release tag)"
  [[ $is_shallow == false ]] || name="HEAD~1 (a shallow clone without release tags; git fetch --tags gets them)"
elif [[ $is_shallow == true ]]; then
  echo "buf breaking: nothing is compared: a shallow clone without release tags and without HEAD~1;" \
    "git fetch --tags or --unshallow gets them"
  exit
else
  echo "buf breaking: nothing is compared: this is the first commit"
  exit
fi

against=$(mktemp -d)
trap 'rm -rf "$against"' EXIT
git archive "$commit" buf.yaml proto | tar -x -C "$against"
echo "buf breaking: compared with $name, commit $commit"
npx buf breaking --against "$against"
