"""Durable runs of steps: journal, lease, retry, undo. Knows nothing of VMs or hypervisors."""
