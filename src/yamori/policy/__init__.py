"""Rules in, decisions out. Pure."""
