"""The story: a noisy VM found, held, verified, released; on the lab or on the simulator."""
