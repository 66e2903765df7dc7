"""Outputs: complete or not there; links followed; pipes, devices and standard output written through."""

import os
import stat
import threading
from pathlib import Path

import pytest

from tfc.base.atomic_write import atomic_write, messages_beside


def put(path, content=b"content"):
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def read_from(fifo):
    """Starts to read a FIFO; returns a function that waits for what came."""
    came = []
    thread = threading.Thread(target=lambda: came.append(fifo.read_bytes()), daemon=True)
    thread.start()

    def wait():
        thread.join(20)
        return b"".join(came)

    return wait


def test_a_file_appears_whole_or_not_at_all_and_new_folders_with_it(tmp_path):
    put(tmp_path / "a/b/file.txt")
    assert (tmp_path / "a/b/file.txt").read_bytes() == b"content"
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "c/d/file.txt") as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert not (tmp_path / "c").exists()
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "a/b/file.txt") as temporary:
        raise RuntimeError
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["file.txt"]


def test_a_folder_is_refused_by_its_name(tmp_path):
    with pytest.raises(IsADirectoryError) as refused:
        put(tmp_path)
    assert refused.value.filename == str(tmp_path)
    assert not list(tmp_path.iterdir())


def test_links_are_followed_and_stay(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("old", "new"):  # the second one leads to nothing yet
        (tmp_path / name).symlink_to(f"there/{name}")
    (tmp_path / "there/old").write_text("old")
    for name in ("old", "new"):
        put(tmp_path / name)
        assert (tmp_path / name).is_symlink() and (tmp_path / "there" / name).read_bytes() == b"content"
    assert {path.name for path in tmp_path.iterdir()} == {"there", "old", "new"}


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_is_written_through(tmp_path, linked):
    fifo = path = tmp_path / "fifo"
    os.mkfifo(fifo)
    if linked:
        path = tmp_path / "link"
        path.symlink_to("fifo")
    came = read_from(fifo)
    put(path, b"x" * 200_000)
    assert came() == b"x" * 200_000
    assert stat.S_ISFIFO(fifo.lstat().st_mode)


def test_dev_null_stays_a_device():
    put(Path(os.devnull))
    assert stat.S_ISCHR(os.lstat(os.devnull).st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a device")
def test_a_device_is_written_through(tmp_path):
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        device.write_bytes(b"")
    except PermissionError:
        pytest.skip("no devices may be made here")
    put(device)
    assert stat.S_ISCHR(device.lstat().st_mode) and [path.name for path in tmp_path.iterdir()] == ["null"]


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1"])
def test_standard_output_gets_the_result_and_nothing_else(capfd, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with messages_beside(None, Path(name)):
        print("a message")
        put(Path(name))
    out, err = capfd.readouterr()
    assert (out, err) == ("content", "a message\n")
    assert not list(tmp_path.iterdir())
