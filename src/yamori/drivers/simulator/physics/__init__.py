"""The laws of the simulated world, in columns: one row per VM, pure functions, no clock of their own."""
