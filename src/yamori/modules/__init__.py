"""One folder a security function, written once for every hypervisor."""
