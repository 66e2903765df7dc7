"""Sweeps as TOML files: named arms, seeds, keys that vary.

```toml
preset = "fashion-resnet8"
seeds = [0, 1, 2]

[set]                       # for every arm
rounds = 12

[arms.fedavg]
method = "fedavg"

[arms.as-published]
preset = "fashion-resnet8-paper"

[vary]                      # optional: every combination, for every arm
"communication.rate_weight" = [0.4, 0.8]
```
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfc import config as configuration
from tfc.base.clean_text import clean
from tfc.base.errors import ConfigError
from tfc.config.loading import read_settings
from tfc.simulation.sweep import PlannedRun

_KEYS = {"preset", "seeds", "set", "arms", "vary"}
_MOST_RUNS = 10_000
_SAFE = re.compile(r"[^\w.+-]")


def is_sweep_file(source: str) -> bool:
    """Whether a file has arms; False for one that can't be read, which the loader of configurations then reports.

    Args:
        source: What the user typed.
    """
    path = Path(source)
    if path.suffix != ".toml" or not path.is_file():
        return False
    try:
        return "arms" in read_settings(path)
    except ConfigError:
        return False


def _flat(table: dict[str, Any], prefix: str = "") -> list[str]:
    """Nested tables as `key=value` texts in TOML's own notation."""
    texts = []
    for key, value in table.items():
        if isinstance(value, dict):
            texts += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, bool):
            texts.append(f"{prefix}{key}={str(value).lower()}")
        elif isinstance(value, int | float | str):
            texts.append(f"{prefix}{key}={value}")
        else:
            raise ConfigError(
                f"{prefix}{key} must be a number, a text or a truth value; found {clean(repr(value), 200)}"
            )
    return texts


def _table(source: Path, content: dict[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{source}: {key} must be a table, found {clean(repr(value), 200)}")
    return value


def plan_file(source: Path, overrides: Sequence[str] = ()) -> list[PlannedRun]:
    """Lists the runs of a sweep file: for every arm every combination of what varies, for every seed.

    Args:
        source: The TOML file.
        overrides: `key=value` texts for all runs, which win over the file.

    Returns:
        Runs named ARM-VALUES-seedN.

    Raises:
        ConfigError: If it can't be read, or names an unknown key or an impossible value; says where.
    """
    content = read_settings(source)
    unknown = sorted(content.keys() - _KEYS)
    if unknown:
        raise ConfigError(f"{source}: unknown key {clean(unknown[0], 60)}; known here: {', '.join(sorted(_KEYS))}")
    seeds = content.get("seeds", [0])
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise ConfigError(f"{source}: seeds must be a list of integers, found {clean(repr(seeds), 200)}")
    common, arms, vary = (_table(source, content, key) for key in ("set", "arms", "vary"))
    if not arms:
        raise ConfigError(f"{source}: names no arm: [arms.NAME] with the keys that make it what it is")
    combinations = len(arms) * len(seeds)
    for key, values in vary.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{source}: vary.{key} must be a list of values, found {clean(repr(values), 200)}")
        combinations *= len(values)
    if combinations > _MOST_RUNS:
        raise ConfigError(f"{source}: {combinations:,} runs; a sweep has at most {_MOST_RUNS:,}")
    runs = []
    for arm in arms:
        settings = dict(_table(source, arms, arm))
        preset = settings.pop("preset", content.get("preset"))
        if not isinstance(preset, str):
            raise ConfigError(f"{source}: arms.{clean(arm, 60)} has no preset, and there is none for all arms")
        for values in itertools.product(*vary.values()):
            varied = dict(zip(vary, values, strict=True))
            parts = [arm, *(f"{key.rpartition('.')[2]}{value}" for key, value in varied.items())]
            for seed in seeds:
                name = _SAFE.sub("_", "-".join([*parts, f"seed{seed}"]))
                try:
                    texts = [*_flat(common), *_flat(settings), *_flat(varied)]
                    config = configuration.load(preset, [*texts, *overrides, f"seed={seed}"])
                except ConfigError as error:
                    raise ConfigError(f"{source}: arms.{clean(arm, 60)}: {error}") from error
                runs.append(PlannedRun(name, config))
    return runs
