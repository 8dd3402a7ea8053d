"""What must survive a restart. The only place with SQL."""
