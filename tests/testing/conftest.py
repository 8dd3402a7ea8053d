"""Tests of the kit run pytest inside pytest."""

pytest_plugins = ["pytester"]
