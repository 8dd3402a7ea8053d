"""What the agent does on its host: small pieces, each for what the hypervisor's own interface lacks."""
