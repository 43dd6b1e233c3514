"""Sessions in a table; the only wing that holds SQL."""
