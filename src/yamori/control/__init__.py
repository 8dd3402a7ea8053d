"""The control plane: keeps the fleet in view and runs the loop sense → assess → respond → decide → run."""
