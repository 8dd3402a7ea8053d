"""Abilities that only read."""
