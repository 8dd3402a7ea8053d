"""Yamori: one set of security modules for virtual-machine fleets, on every hypervisor."""

__version__ = "0.1.0"
