"""Real Xen hosts in the lab: a hypervisor, a Debian dom0 and tiny guests inside one emulated machine each."""
