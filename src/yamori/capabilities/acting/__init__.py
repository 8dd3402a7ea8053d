"""Abilities that change something. Only a module's steps, called by a run, use them."""
