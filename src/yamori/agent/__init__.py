"""The host agent: what must run next to the guests, behind the same capabilities as any hypervisor."""
