"""One file a format: writes it from a groups document, with the list of what could not be carried over."""
