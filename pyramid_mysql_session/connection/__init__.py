"""Lends connections; the only wing that knows DBUtils and mysqlclient."""
