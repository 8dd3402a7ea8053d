"""Keys, certificates, signed and chained records."""
