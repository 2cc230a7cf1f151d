"""The networks that are checked: one file each, read from top to bottom."""
