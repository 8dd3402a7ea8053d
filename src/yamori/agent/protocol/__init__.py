"""What an agent and its controller say to one another. No I/O but in ``line``; described in decision 0016."""
