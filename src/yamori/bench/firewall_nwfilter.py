"""libvirt's nwfilter for the same policy: a libvirtd in namespaces of its own which sees none of our VMs."""

import shutil
import subprocess
from dataclasses import dataclass
from uuid import UUID

from yamori.bench.firewall_policy import address, card, libvirt_filter, mac

_SECONDS = 150
_PROGRAMS = ("libvirtd", "virsh", "ebtables", "iptables", "unshare")
_SCRIPT = """
set -e
for place in /run /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do mount -t tmpfs tmpfs $place; done
mkdir -p /run/settings /run/libvirt
cp -r /etc/libvirt/nwfilter /run/settings/
mount --bind /run/settings /etc/libvirt
ip link set lo up
libvirtd >/run/said 2>&1 &
daemon=$!
waited=0
until virsh -q -c nwfilter:///system nwfilter-list >/dev/null 2>&1; do
  sleep 0.5; waited=$((waited+1)); test $waited -lt 60
done
cat >/run/filter.xml
virsh -q -c nwfilter:///system nwfilter-define /run/filter.xml
spent() { cut -d')' -f2 /proc/$daemon/stat | awk -v each="$(getconf CLK_TCK)" '{print ($12+$13+$14+$15)/each}'; }
echo "cpu 0 $(spent)"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Libvirt:
    """CPU seconds of libvirtd and what it started for so many ports in turn; ``why`` nothing was measured."""

    ports: int = 0
    cpu_s: float = 0.0
    why: str = ""


def measure(ports: int) -> Libvirt:
    """Have libvirtd filter some ports; those that took too long are not counted."""
    lacking = [each for each in _PROGRAMS if shutil.which(each) is None]
    if lacking:
        return Libvirt(why=f"not installed: {', '.join(lacking)}")
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]
    said = ""
    try:
        done = subprocess.run(
            [*command, _SCRIPT + "".join(_binding(number) for number in range(ports))],
            input=libvirt_filter(),
            text=True,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
        said, errors = done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        said, errors = (late.stdout or b"").decode(), "it took too long"
    taken = [line.split() for line in said.splitlines() if line.startswith("cpu ")]
    if len(taken) < 2:
        return Libvirt(why=errors.strip()[-200:] or "libvirtd said nothing")
    return Libvirt(ports=int(taken[-1][1]), cpu_s=float(taken[-1][2]) - float(taken[0][2]))


def _binding(number: int) -> str:
    name, identity = card(number), UUID(int=number + 1)
    asked = (
        f"<filterbinding><owner><name>vm{number}</name><uuid>{identity}</uuid></owner><portdev name='{name}'/>"
        f"<mac address='{mac(number)}'/><filterref filter='bench'>"
        f"<parameter name='IP' value='{address(number)}'/></filterref></filterbinding>"
    )
    return f"""
ip link add {name} type veth peer name b{number} && ip link set {name} up
echo "{asked}" >/run/binding.xml
virsh -q -c nwfilter:///system nwfilter-binding-create /run/binding.xml >&2
echo "cpu {number + 1} $(spent)"
"""
