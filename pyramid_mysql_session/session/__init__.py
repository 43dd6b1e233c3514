"""One session in memory; it is handed a store and imports none."""
