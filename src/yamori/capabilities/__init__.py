"""What a hypervisor can do: one small Protocol a file. Sensing reads; acting changes; absence is None."""
