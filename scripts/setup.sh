#!/usr/bin/env bash
# Make this machine ready: Debian packages (as root), then the Python environment in $VENV (default .venv).
# Quick when there is nothing to do. Starts no service and leaves none enabled that was not there before.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv}
exec 1>&2 # all that set-up tells is progress: what is run afterwards may print JSON
say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# --- Debian packages -------------------------------------------------------------------------------------------

installed() { # NAME
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_packages() { # PART... -> names, one a line
  local name part
  while read -r name part _; do
    case " $* " in *" $part "*) ;; *) continue ;; esac
    installed "$name" || echo "$name"
  done < <(grep --invert-match '^#' packages.txt)
}

# Debian starts a service when its package is installed, unless /usr/sbin/policy-rc.d says no (see invoke-rc.d(8)).
# The lab runs its own libvirtd inside namespaces and needs none outside. So: say no while apt runs, if nobody
# else has said anything; and switch off at boot what this very installation has switched on.
install_packages() { # NAME...
  local policy=/usr/sbin/policy-rc.d had_libvirt=no units
  ! installed libvirt-daemon-system || had_libvirt=yes
  if [ ! -e "$policy" ]; then
    # shellcheck disable=SC2064  # the path is meant to be expanded now
    trap "rm --force '$policy'" EXIT
    printf '#!/bin/sh\n# Written by the set-up of Yamori while apt runs; removed right after.\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update --quiet=2
  apt-get install --quiet=2 --yes --no-install-recommends "$@" </dev/null
  if [ "$had_libvirt" = no ] && command -v systemctl >/dev/null; then
    mapfile -t units < <(systemctl --root=/ list-unit-files --no-legend --state=enabled 'libvirt*' 'virtl*' |
      cut --delimiter=' ' --fields=1)
    [ ${#units[@]} -eq 0 ] || systemctl --root=/ disable --quiet "${units[@]}"
    say "libvirtd is installed, but neither running nor enabled: the lab brings its own." \
      "To guard VMs of this machine: systemctl enable --now libvirtd"
  fi
}

if command -v dpkg-query >/dev/null; then
  mapfile -t needed < <(missing_packages python lab browser check)
  if [ ${#needed[@]} -gt 0 ] && [ "$(id -u)" = 0 ]; then
    say "installing ${#needed[@]} Debian packages: ${needed[*]}"
    install_packages "${needed[@]}"
  elif [ ${#needed[@]} -gt 0 ]; then
    say "missing Debian packages; as root: apt-get install --no-install-recommends ${needed[*]}"
    [ -z "$(missing_packages python)" ] || die "the Python environment cannot be built without: $(missing_packages python | tr '\n' ' ')"
    say "going on without them: the simulator works; the lab, its tests or the browser tests do not"
  fi
else
  say "this is no Debian: see packages.txt for what must be there"
fi

# --- Python environment ----------------------------------------------------------------------------------------

find_python() {
  local candidate
  for candidate in ${PYTHON:-} /usr/bin/python3 python3.11 python3.12 python3.13 python3; do
    "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && {
      echo "$candidate"
      return
    }
  done
  die "no Python 3.11 or newer with venv found; set PYTHON=/path/to/python3"
}

stamp=$venv/.installed
wanted=$(sha256sum requirements/*.txt pyproject.toml scripts/setup.sh | sha256sum | cut --delimiter=' ' --fields=1)
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
if [ ! -x "$venv/bin/python" ]; then
  python=$(find_python)
  say "making $venv with $("$python" --version)"
  "$python" -m venv "$venv"
fi
say "installing pinned Python packages"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-build-isolation)
"${pip[@]}" --require-hashes --requirement requirements/build.txt
"${pip[@]}" --require-hashes --requirement requirements/runtime-and-dev.txt
"${pip[@]}" --no-deps --editable .
echo "$wanted" >"$stamp"
say "ready: $venv/bin/yamori"
