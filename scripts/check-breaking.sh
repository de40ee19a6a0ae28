#!/usr/bin/env bash
# The contract must not break what the last release promised; before there is one, what main holds.
set -euo pipefail
baseline=$(git describe --tags --abbrev=0 2>/dev/null) || baseline=$(git rev-parse --verify --quiet origin/main || git rev-parse HEAD)
exec npx buf breaking --against ".git#ref=$baseline"
