"""Programs that look after this repository. Not shipped."""
