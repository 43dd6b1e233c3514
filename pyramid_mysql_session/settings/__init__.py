"""The settings: names, defaults, rules and documentation."""
