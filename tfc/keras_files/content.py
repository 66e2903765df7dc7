"""Takes a Keras model file apart, as data: which format it is, who saved it, its configuration. Builds nothing.

Two formats exist, told apart by the content and not by the name: a ZIP archive with `metadata.json`, `config.json` and
`model.weights.h5` (Keras 2.12 and later, Keras 3), and one HDF5 file (all versions of Keras).
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfc.base.errors import ModelFileError

WEIGHTS = "model.weights.h5"

_CONFIGURATION_LIMIT = 64 * 2**20
"""Bytes of a configuration; those of the largest published models are below 10 MiB."""

_EXPANSION = 200
_EXPANSION_FREE = 64 * 2**20
"""An archive may hold this many bytes, and beyond them this multiple of its own size: Keras doesn't compress."""

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class ModelContent:
    """A model file's parts.

    Attributes:
        hdf5: The model (HDF5 format) or its weights (ZIP format): content of an HDF5 file.
        is_archive: Whether the file is a ZIP archive.
        keras_version: Version of Keras that saved it; empty where the file doesn't say.
        configuration: The model's configuration, as JSON holds it.
    """

    hdf5: bytes
    is_archive: bool
    keras_version: str
    configuration: dict[str, Any]


def read_content(path: Path) -> ModelContent:
    """Reads a model file without building anything.

    Args:
        path: The file.

    Raises:
        ModelFileError: If it is missing, damaged, or none of the two formats.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: not a Keras model that loads: no such file")
    try:
        content = path.read_bytes()
        if content.startswith(_HDF5_SIGNATURE):
            return _from_hdf5(content)
        if zipfile.is_zipfile(io.BytesIO(content)):
            return _from_archive(content)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: not a Keras model that loads: {error}") from error
    # h5py raises whatever the damaged part raises; zipfile its own errors and zlib's.
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError, EOFError, RecursionError) as error:
        raise ModelFileError(f"{path}: not a Keras model that loads: the file is damaged") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ModelFileError(f"{path}: not a Keras model that loads: the archive is damaged") from error
    raise ModelFileError(f"{path}: not a Keras model that loads: neither an archive (.keras) nor HDF5 (.h5)")


def _from_archive(content: bytes) -> ModelContent:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = set(archive.namelist())
        missing = [name for name in ("config.json", WEIGHTS) if name not in names]
        if missing:
            raise ModelFileError(f"the archive has no {', '.join(missing)}")
        expanded = sum(entry.file_size for entry in archive.infolist())
        if expanded > _EXPANSION_FREE + _EXPANSION * len(content):
            raise ModelFileError(f"the archive of {len(content)} bytes would expand to {expanded}")
        if archive.getinfo("config.json").file_size > _CONFIGURATION_LIMIT:
            raise ModelFileError("its configuration is larger than 64 MiB")
        metadata = _json_object(archive.read("metadata.json"), "metadata.json") if "metadata.json" in names else {}
        configuration = _json_object(archive.read("config.json"), "config.json")
        hdf5 = archive.read(WEIGHTS)
    return ModelContent(hdf5, True, str(metadata.get("keras_version", ""))[:40], configuration)


def _from_hdf5(content: bytes) -> ModelContent:
    import h5py

    with h5py.File(io.BytesIO(content), "r") as file:
        found = file.attrs.get("model_config")
        if found is None:
            raise ModelFileError("the HDF5 file has weights only and no model_config; save the whole model")
        version = _text(file.attrs.get("keras_version", ""))
        configuration = _json_object(found, "model_config")
    return ModelContent(content, False, version[:40], configuration)


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _json_object(content: Any, name: str) -> dict[str, Any]:
    try:
        found = json.loads(_text(content))
    except ValueError as error:
        raise ModelFileError(f"{name} is not readable JSON") from error
    if not isinstance(found, dict):
        raise ModelFileError(f"{name} is not a JSON object")
    return found


def refuse_links(hdf5: bytes) -> None:
    """Refuses weights that stand in other files, which HDF5 can point to.

    Args:
        hdf5: Content of an HDF5 file.

    Raises:
        ModelFileError: If it names another file.
    """
    import h5py

    with h5py.File(io.BytesIO(hdf5), "r") as file:
        pending: list[Any] = [file]
        seen: set[Any] = set()
        while pending:
            group = pending.pop()
            for name in group:
                if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                    raise ModelFileError(f"{name} points to another file")
                child = group.get(name)
                if isinstance(child, h5py.Dataset) and (child.external or child.is_virtual):
                    raise ModelFileError(f"the values of {name} stand in another file")
                if isinstance(child, h5py.Group) and child.id not in seen:
                    seen.add(child.id)
                    pending.append(child)
