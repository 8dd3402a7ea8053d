"""The agent in Xen's dom0: what neither the hypervisor's interface nor libvirt offers there."""
