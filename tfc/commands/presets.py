"""`tfc presets`: presets and keys of the configuration."""

from __future__ import annotations

import argparse

from tfc.base.command_line import Commands


def _run(options: argparse.Namespace) -> int:
    from tfc import config

    if options.keys:
        for name, default, allowed, meaning in config.describe():
            print(f"{name} = {default!r}\n    {meaning}{f' ({allowed})' if allowed else ''}")
    elif options.name:
        print(config.to_toml(config.load(options.name)), end="")
    else:
        for name in config.preset_names():
            first_line = (config.PRESETS / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
            print(f"{name:20} {first_line.lstrip('# ')}")
    return 0


def add_to(commands: Commands) -> None:
    """Adds the command.

    Args:
        commands: Those of the program.
    """
    parser = commands.add(
        "presets", "list the presets, show one, or list all keys", "tfc presets fashion-resnet8 > mine.toml"
    )
    parser.add_argument("name", nargs="?", help="show this preset (or TOML file) with every key")
    parser.add_argument("--keys", action="store_true", help="list all keys: default, meaning, allowed values")
    parser.set_defaults(function=_run)
