"""The faces over HTTP: REST with event stream, and the live console."""
