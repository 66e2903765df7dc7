"""One run: its rounds, its folder, its checkpoints; and sweeps over several runs."""
