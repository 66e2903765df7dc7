"""Configurations from presets, TOML files and `key=value` texts, validated; and back to TOML."""

from __future__ import annotations

import dataclasses
import math
import os
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomllib

from tfc.base.clean_text import clean
from tfc.base.errors import ConfigError
from tfc.base.regular_file import read_regular, reading
from tfc.config.checks import check
from tfc.config.keys import ExperimentConfig, Range

_LONGEST_FILE = 1_000_000
"""Bytes; a file that names every key has 2,000."""
PRESETS = Path(__file__).parent.parent / "presets"


def _checked_value(path: str, value: Any, expected: Any, allowed: Range | Collection[str] | None) -> Any:
    if expected is float and type(value) is int and abs(value) < 1 << 1000:
        value = float(value)
    if type(value) is not expected:
        found = f"{clean(repr(value), 200)}, {type(value).__name__}"
        raise ConfigError(f"{path} must be of type {expected.__name__}, found {found}")
    if not isinstance(allowed, Range | None) and value not in allowed:
        raise ConfigError(f"{path} must be one of {', '.join(allowed)}; found {clean(repr(value), 200)}")
    if expected is int and not -(1 << 63) <= value < 1 << 63:
        raise ConfigError(f"{path} must be a number of 64 bits; found {clean(repr(value), 60)}")
    if expected is float and not math.isfinite(value):
        raise ConfigError(f"{path} must be a finite number; found {value!r}")
    if isinstance(allowed, Range) and value not in allowed:
        raise ConfigError(f"{path} must be {allowed}; found {value!r}")
    return value


def _build(cls: type, values: dict[str, Any], prefix: str = "") -> Any:
    fields = {item.name: item for item in dataclasses.fields(cls)}
    types_ = typing.get_type_hints(cls)
    built: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if name not in fields:
            raise ConfigError(
                f"unknown key {clean(path, 200)}; known here: {', '.join(prefix + known for known in fields)}"
            )
        if dataclasses.is_dataclass(types_[name]):
            if not isinstance(value, dict):
                raise ConfigError(f"{path} must be a table, found {clean(repr(value), 200)}")
            built[name] = _build(types_[name], value, f"{path}.")
        else:
            built[name] = _checked_value(path, value, types_[name], fields[name].metadata["allowed"])
    return cls(**built)


def from_dict(values: dict[str, Any]) -> ExperimentConfig:
    """Builds a configuration from nested tables; keys that are not named keep their defaults.

    Args:
        values: What a TOML file holds.

    Raises:
        ConfigError: If a key is unknown, has a wrong type or an impossible value; names the key and what is allowed.
    """
    config: ExperimentConfig = _build(ExperimentConfig, values)
    check(config)
    return config


def to_dict(config: ExperimentConfig) -> dict[str, Any]:
    """Returns the nested tables that `from_dict` takes."""
    return dataclasses.asdict(config)


def to_toml(config: ExperimentConfig) -> str:
    """Returns the configuration as TOML, every key named."""
    import tomli_w

    return tomli_w.dumps(to_dict(config))


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested tables as one: keys have the names that `--set` takes.

    Args:
        values: From `to_dict`, or of a TOML file.
        prefix: What names start with.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def for_comparison(config: ExperimentConfig) -> ExperimentConfig:
    """Returns a configuration with what changes no result at its default: equal ones make equal runs.

    Args:
        config: Any.
    """
    usual = ExperimentConfig()
    optimizer = config.server_optimizer
    return dataclasses.replace(
        config,
        max_concurrent_clients=usual.max_concurrent_clients,
        insecure_worker=usual.insecure_worker,
        server_optimizer=usual.server_optimizer if optimizer.name == usual.server_optimizer.name else optimizer,
    )


def preset_names() -> list[str]:
    """Returns the names of the presets that come with the package."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def _parse_override(text: str) -> tuple[list[str], Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--set takes key=value, such as training.batch_size=32; found {text!r}")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError, OverflowError):
        try:
            parsed = float(value)  # TOML has no .5
        except ValueError:
            parsed = value  # a bare word is a string: --set method=fedavg
    return name.strip().split("."), parsed


def _texts_as_tables(texts: Sequence[str]) -> Iterator[tuple[str, list[str], Any]]:
    for text in texts:
        yield (f"--set {text}", *_parse_override(text))


def _mapping_as_tables(
    overrides: Mapping[str, Any], parents: Sequence[str] = ()
) -> Iterator[tuple[str, list[str], Any]]:
    """Leaves of a mapping whose keys may have dots and whose values may be mappings."""
    for name, value in overrides.items():
        if not isinstance(name, str):
            raise ConfigError(f"names of settings are texts, found {name!r}")
        names = [*parents, *name.split(".")]
        if isinstance(value, Mapping):
            yield from _mapping_as_tables(value, names)
        else:
            yield ".".join(names), names, os.fspath(value) if isinstance(value, os.PathLike) else value


def read_settings(path: Path) -> dict[str, Any]:
    """Reads a file of settings, unchecked: what `from_dict` checks, or what another version wrote.

    Args:
        path: A TOML file.

    Raises:
        ConfigError: If it is no readable TOML file.
    """
    with reading(path, ConfigError, "a readable TOML file"):
        return tomllib.loads(read_regular(path, _LONGEST_FILE).decode("utf-8"))


def load(source: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> ExperimentConfig:
    """Loads a preset or a TOML file.

    Args:
        source: Name of a preset, or path of a TOML file.
        overrides: What wins over the file: `key=value` texts, keys with dots; or a mapping, whose keys may have dots
            and whose values may be mappings.

    Raises:
        ConfigError: If there is no such preset or file, it is no TOML, or what it says is not allowed.

    Examples:
        >>> import tfc
        >>> config = tfc.load("demo", {"rounds": 3, "data": {"num_clients": 4}})
        >>> config.rounds, config.data.num_clients
        (3, 4)
        >>> config == tfc.load("demo", ["rounds=3", "data.num_clients=4"])
        True
    """
    path = PRESETS / f"{os.fspath(source)}.toml"
    if not path.is_file():
        path = Path(source)
    if not path.exists():
        raise ConfigError(f"no preset and no file named {str(source)!r}; presets: {', '.join(preset_names())}")
    values = read_settings(path)
    if isinstance(overrides, Mapping):
        settings = _mapping_as_tables(overrides)
    else:
        settings = _texts_as_tables([overrides] if isinstance(overrides, str) else overrides)
    for said, names, value in settings:
        table = values
        for name in names[:-1]:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{said}: {name} is not a table")
        table[names[-1]] = value
    return from_dict(values)


def describe() -> list[tuple[str, Any, str, str]]:
    """Returns one row per key: name with dots, default, allowed values, meaning."""
    rows: list[tuple[str, Any, str, str]] = []

    def visit(cls: type, prefix: str) -> None:
        hints = typing.get_type_hints(cls)
        for item in dataclasses.fields(cls):
            if dataclasses.is_dataclass(hints[item.name]):
                visit(typing.cast(type, hints[item.name]), f"{prefix}{item.name}.")
            else:
                allowed = item.metadata["allowed"]
                text = str(allowed or "") if isinstance(allowed, Range | None) else ", ".join(allowed)
                rows.append((prefix + item.name, item.default, text, item.metadata["help"]))

    visit(ExperimentConfig, "")
    return rows
