"""The demo shop as browsers see it."""
