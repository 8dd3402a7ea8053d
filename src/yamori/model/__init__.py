"""The nouns of the field as frozen values. Standard library only, no I/O."""
