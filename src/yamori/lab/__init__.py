"""Disposable real fleets on one machine: for the demo and for tests."""
