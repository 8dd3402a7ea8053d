"""The REST face: one table of routes, one shape of errors, one door that every request passes."""
