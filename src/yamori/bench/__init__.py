"""Measurements against named peers. Never part of the tests."""
