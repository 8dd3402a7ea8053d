"""The controller's end: where agents connect to, who they are, and what they are asked."""
