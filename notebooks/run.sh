#!/usr/bin/env bash
# Runs every notebook headless, in a folder of its own, and fails when a cell does. Needs Debian's jupyter-nbconvert python3-ipykernel
# python3-matplotlib python3-numpy (or the same from elsewhere, as jupyter and python3 on the PATH).
set -euo pipefail
cd "$(dirname "$0")/.."
jupyter=$([ -x /usr/bin/jupyter ] && echo /usr/bin/jupyter || command -v jupyter || true)
if [ -z "$jupyter" ]; then
	echo 'the notebooks are not run: there is no jupyter (Debian: jupyter-nbconvert python3-ipykernel)'
	[ -z "${CI:-}" ] # in CI what is missing is a failure
	exit
fi
bin=$(mktemp -d)
trap 'rm -rf "$bin" notebooks/*-run' EXIT
go build -o "$bin/dmft" ./cmd/dmft
for nb in notebooks/*.ipynb; do
	echo "running $nb"
	PATH="$bin:/usr/bin:$PATH" PYTHONPATH= "$jupyter" nbconvert --to html --execute --ExecutePreprocessor.timeout=300 \
		--output-dir "$bin" "$nb" >"$bin/log" 2>&1 || { cat "$bin/log"; exit 1; }
	[ -z "${KEEP:-}" ] || cp "$bin"/*.html "$KEEP"
done
