"""Makes a host ready for the agent: a user of its own, its folders, its unit, and no more rights than it needs."""
