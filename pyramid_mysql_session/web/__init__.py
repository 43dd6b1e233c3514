"""A request and its response; the only wing that knows WebOb."""
