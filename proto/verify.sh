#!/bin/sh
# The proto files keep to buf's rules of style, and are laid out as buf lays them out.
set -eu
cd "$(dirname "$0")"
[ -d node_modules ] || npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
npx buf lint
npx buf format --diff --exit-code
