"""One file per command of `tfc`: its options, and what it runs."""
