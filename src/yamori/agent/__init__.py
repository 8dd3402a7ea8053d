"""Yamori next to the guests: the service on a host, its protocol, and the controller's end of it."""
