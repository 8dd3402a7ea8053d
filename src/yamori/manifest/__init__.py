"""How a driver or a module introduces itself. Strangers' packages come in by the same door as ours."""
