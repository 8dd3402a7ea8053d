"""The packet filter of VMs on this host: what a Filter means, carried out by the kernel's nf_tables."""
