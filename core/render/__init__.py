"""A report for people: a terminal table, an HTML page."""
