#!/bin/sh
# Rebuild the page into a temporary folder and compare it, byte for byte, with the committed bundle.
set -eu
cd "$(dirname "$0")"
built="$(mktemp -d)"
trap 'rm -rf "$built"' EXIT
[ -d node_modules ] || npm ci --no-audit --no-fund
npx tsc --noEmit
npx vite build --logLevel warn --outDir "$built" --emptyOutDir
if ! diff -r "$built" ../phenix/server/static; then
  echo "phenix/server/static is not what web/ builds: run 'npm ci && npm run build' and commit it" >&2
  exit 1
fi
size="$(cat "$built"/assets/*.js "$built"/assets/*.css "$built"/index.html | gzip -9 | wc -c)"
echo "bundle reproduced, $size bytes gzipped"
[ "$size" -le 80000 ] || { echo "over the budget of 80000 bytes" >&2; exit 1; }
