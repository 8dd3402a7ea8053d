"""Commands, one file each, over the same API as every other face."""
