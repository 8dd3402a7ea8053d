#!/usr/bin/env bash
# What must hold before a commit, quickest first. `lint`: formatting and lint alone; `static`: all but pytest.
# Goes through all of it and says at the end what did not hold.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

bin=${VENV:-.venv}/bin
failed=()
hold() { # NAME COMMAND...
  local name=$1 began=$SECONDS
  shift
  if "$@"; then
    printf 'check: %-12s ok (%d s)\n' "$name" $((SECONDS - began))
  else
    printf 'check: %-12s FAILED\n' "$name"
    failed+=("$name")
  fi
}

hold format "$bin/ruff" format --check --quiet .
hold lint "$bin/ruff" check --quiet .
if command -v shellcheck >/dev/null; then
  hold shell shellcheck scripts/*.sh .ci/run
else
  echo "check: shell        NOT CHECKED: shellcheck is not installed"
fi
stages=${1:-all}
if [ "$stages" != lint ]; then
  hold types "$bin/mypy" --no-error-summary
  hold imports "$bin/lint-imports" --no-logo
  # `make test` runs these with all the others
  [ "$stages" = static ] || hold architecture "$bin/python" -m pytest --quiet tests/architecture
fi

[ ${#failed[@]} -eq 0 ] || {
  echo "check: these do not hold: ${failed[*]}" >&2
  exit 1
}
