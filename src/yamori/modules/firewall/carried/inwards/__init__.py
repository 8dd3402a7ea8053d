"""One file a format: reads it, and gives a groups document with the list of what could not be carried over."""
