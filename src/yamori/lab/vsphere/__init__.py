"""A vCenter for the lab: the API simulator of Debian's govmomi package, behind a certificate of the lab's CA."""

from yamori.lab.vsphere.program import missing
from yamori.lab.vsphere.vcenter import Shape, VCenter

__all__ = ["Shape", "VCenter", "missing"]
