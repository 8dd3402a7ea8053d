"""One folder a hypervisor family. Strangers to one another."""
