"""Writes the embedded real digits as PNG files: out-of-distribution images for tasks of other things.

python benchmarks/digit_images.py FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tensorflow as tf

from tfc import config
from tfc.simulation.configured_data import load_dataset


def main() -> None:
    """Writes one file per training image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    images = load_dataset(config.load("demo")).x_train
    for number, image in enumerate(images):
        (folder / f"{number:05d}.png").write_bytes(tf.io.encode_png(image).numpy())
    print(f"{len(images)} images in {folder}")


if __name__ == "__main__":
    main()
