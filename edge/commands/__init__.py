"""One file per command of `edge`: its options, and what it runs."""
