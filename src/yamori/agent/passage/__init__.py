"""An encrypted way for memory streams between two hosts whose hypervisor has none (Xen), loopback to loopback.

The source's libvirt sends a VM's memory to its own loopback, the destination's takes it from its own: what lies
between goes through the agents of both hosts, by mutual TLS. See docs/decisions/0020-moves-by-the-agent.md.
"""
