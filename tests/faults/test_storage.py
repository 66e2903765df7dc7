"""Disks that are full or can't be written: one error, nothing half-written, and the run goes on once there is room."""

import contextlib
import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from programs import needs_root, program

from tfc.base.errors import RunError
from tfc.federated.broadcast_tracker import BroadcastTracker
from tfc.simulation.checkpoints import Checkpoint, latest_checkpoint, write_checkpoint
from tfc.simulation.folder import RoundMetrics
from tfc.simulation.folder_writer import RunFolder, writing

ROW = RoundMetrics(1, 0.5, 1.0, 0, 0.0, 10, 20, 0, 0.0, 2, 0, 1.0)


@contextlib.contextmanager
def mounted(folder, options):
    """A file system in memory."""
    folder.mkdir()
    subprocess.run([program("mount", "mount"), "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run([program("umount", "mount"), folder], check=True)


def command(settings, out):
    words = [word for text in [*settings, "method=fedavg"] for word in ("--set", text)]
    return [sys.executable, "-m", "tfc", "run", "demo", *words, "--quiet", "--out", str(out)]


def test_a_write_that_fails_is_one_error_that_names_the_file_and_the_reason(tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = RunFolder(tmp_path / "run")
    folder.add_round(ROW)
    before = (tmp_path / "run" / "metrics.csv").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("csv.DictWriter.writerows", full)
        with (
            pytest.raises(
                RunError, match=r"metrics\.csv: cannot be written: No space left on device; the same command"
            ),
            writing(tmp_path / "run"),
        ):
            folder.add_round(ROW)
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == before
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.system
def test_a_checkpoint_that_finds_no_room_leaves_the_ones_before(tmp_path):
    needs_root("mounts a small file system")
    with mounted(tmp_path / "small", "size=64k") as folder:
        state = (np.zeros(4000, np.float32),)
        for number in range(1, 9):
            with (folder / f"ballast-{number}").open("wb") as ballast:
                ballast.write(bytes(4096))
            try:
                write_checkpoint(folder / "checkpoints", Checkpoint(number, state, BroadcastTracker(), (ROW,), 1.0))
            except OSError as error:
                assert error.errno == errno.ENOSPC and error.filename.endswith(f"round-{number}")
                break
        else:
            pytest.fail("the disk was never full")
        found = latest_checkpoint(folder / "checkpoints", state, pytest.fail)
        assert found.round == number - 1
        assert not list((folder / "checkpoints").glob(".*"))


@pytest.mark.system
def test_a_full_disk_ends_a_run_with_one_line_and_with_room_it_goes_on(tmp_path, tiny_settings):
    needs_root("mounts a small file system")
    # Room for the first rounds' checkpoints (0.9 MB each) and not for three at a time.
    with mounted(tmp_path / "small", "size=2500k") as disk:
        done = subprocess.run(command(tiny_settings, disk / "run"), capture_output=True, text=True)
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert "No space left on device; the same command resumes the run" in line and "Traceback" not in done.stderr
        assert not list(disk.rglob(".*")) and not (disk / "run" / "summary.json").exists()
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        done = subprocess.run(command(tiny_settings, disk / "run"), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "resumes after round " in done.stderr


@pytest.mark.system
def test_a_read_only_folder_is_refused_before_any_work(tmp_path, tiny_settings):
    needs_root("mounts a read-only file system")
    with mounted(tmp_path / "fixed", "ro,size=64k") as folder:
        done = subprocess.run(command(tiny_settings, folder / "run"), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: {folder / 'run'}: cannot be written: {folder} is read-only"
