"""The agent on a host: enrols, dials out to its controller, answers what it is asked."""
