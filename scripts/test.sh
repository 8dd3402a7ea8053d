#!/usr/bin/env bash
# Run the tests stage by stage, all of them even if one fails, and end with a summary.
#   check   lint, types, import contracts
#   unit    everything that needs neither root nor a hypervisor, on all cores
#   story   the demo on real virtual hosts: every effect verified, nothing left behind
#   lab     the real lab and the real browser, one after the other: they need the machine for themselves
#   xen     a real Xen host, emulated: what shows in minutes that all of it works together
#   full    what takes longer: the whole kit on Xen, moves between Xen hosts, a mixed fleet under faults for ten minutes
#   storyx  the demo on the real Xen host
#   matrix  what the stages before it have proven of each hypervisor is no worse than results/ says
# REPORTS=FOLDER keeps what the conformance kit has proven; `python -m yamori.testing.matrix --help` tells what for.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

bin=${VENV:-.venv}/bin
logs=$(mktemp --directory)
trap 'rm --recursive --force "$logs"' EXIT
reports=${REPORTS:-$logs/reports}
mkdir --parents "$reports"
summary=()
status=0

stage() { # NAME COMMAND...
  local name=$1 log=$logs/$1 began=$SECONDS outcome=passed closing
  shift
  printf '\n--- %s\n' "$name"
  "$@" 2>&1 | tee "$log"
  [ "${PIPESTATUS[0]}" -eq 0 ] || {
    outcome=FAILED
    status=1
  }
  closing=$(grep --extended-regexp '^=+ .*(passed|failed|error|no tests ran|deselected)' "$log" | tail --lines=1 | tr --delete '=')
  summary+=("$(printf '%-6s %-7s %4d s %s' "$name" "$outcome" $((SECONDS - began)) "$closing")")
}

kit=(-p yamori.testing.conformance.report) # pytest writes down what the conformance kit has proven
for name in "$@"; do
  case $name in
  check) stage check scripts/check.sh static ;;
  unit)
    stage unit "$bin/python" -m pytest -m 'not lab and not browser' --numprocesses=auto \
      "${kit[@]}" --conformance-report="$reports/unit.json" --conformance-stage=unit
    ;;
  story | storyx)
    on=qemu
    [ "$name" = story ] || on=xen
    if [ "$(id -u)" = 0 ]; then
      stage "$name" "$bin/yamori" demo --on "$on" --once
    else
      summary+=("$name  NOT RUN: real virtual hosts need root")
    fi
    ;;
  xen | full)
    wanted='xen and not full'
    [ "$name" = xen ] || wanted=full
    if [ "$(id -u)" = 0 ]; then
      YAMORI_MIXED_S=${YAMORI_MIXED_S:-600} stage "$name" "$bin/python" -m pytest -m "$wanted" \
        "${kit[@]}" --conformance-report="$reports/$name.json" --conformance-stage="$name"
    else
      summary+=("$name    NOT RUN: real virtual hosts need root")
    fi
    ;;
  lab)
    if [ "$(id -u)" = 0 ]; then
      stage lab "$bin/python" -m pytest -m '(lab or browser) and not xen and not full' \
        "${kit[@]}" --conformance-report="$reports/lab.json" --conformance-stage=lab
    else
      stage lab "$bin/python" -m pytest -m 'browser and not lab'
      summary+=("lab    NOT RUN: the tests on real virtual hosts need root")
    fi
    ;;
  matrix)
    if compgen -G "$reports/*.json" >/dev/null; then
      stage matrix "$bin/python" -m yamori.testing.matrix "$reports"/*.json --against results
    else
      summary+=("matrix NOT RUN: no stage before it wrote down what the conformance kit has proven")
    fi
    ;;
  *)
    echo "test: no such stage: $name" >&2
    exit 2
    ;;
  esac
done

printf '\n=== summary\n'
printf '%s\n' "${summary[@]}"
exit "$status"
