#!/usr/bin/env bash
# Pin the Python dependencies afresh, with hashes and without download addresses.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv}
if ! command -v uv >/dev/null && [ ! -x "$venv/bin/uv" ]; then
  "$venv/bin/pip" install --quiet uv
fi
uv=$(command -v uv || echo "$venv/bin/uv")

compile() { # INPUT OUTPUT [OPTION...]
  local input=$1 output=$2
  shift 2
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-header --no-annotate "$@" "$input" --output-file "$output" "${upgrade[@]}"
}

upgrade=()
[ "${UPGRADE:-}" = 1 ] && upgrade=(--upgrade)
compile requirements/build.in requirements/build.txt
compile pyproject.toml requirements/runtime-and-dev.txt --extra dev
grep --count '^[a-z]' requirements/*.txt
