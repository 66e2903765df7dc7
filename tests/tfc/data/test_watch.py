"""The smartwatch exercises, on small files of the real format."""

import pickle

import numpy as np
import pytest
from data_files import EXERCISES, watch_recordings

import tfc
from tfc.cli import main
from tfc.data import watch


@pytest.fixture()
def folder(tmp_path):
    np.save(tmp_path / watch.FILE, watch_recordings())
    return tmp_path


def test_windows_of_two_seconds_overlap_by_half_and_people_own_them(folder):
    dataset = watch.watch(folder)
    # (230 - 100) // 50 + 1 = 3 windows of each recording, 2 recordings of each of 8 people, 2 held out.
    assert dataset.x_train.shape == (48, 100, 6) and dataset.x_test.shape == (12, 100, 6)
    assert (
        dataset.x_train.dtype == np.float32 and dataset.kind == "sequence" and dataset.class_names == tuple(EXERCISES)
    )
    assert not dataset.synthetic
    np.testing.assert_array_equal(dataset.x_train[:, 0, 0], dataset.owners)
    np.testing.assert_array_equal(dataset.x_train[:, 7, 1], dataset.y_train)
    assert [window[0, 2] for window in dataset.x_train[:3]] == [0, 50, 100]
    np.testing.assert_array_equal(dataset.x_train[0, :, 2], np.arange(100))
    assert (dataset.x_train[..., 3:] == 1).all(), "rotation is divided by 3"


def test_every_person_is_held_out_in_one_fold(folder):
    tested = []
    for fold in range(5):
        dataset = watch.watch(folder, tfc.DataConfig(fold=fold))
        out = set(dataset.x_test[:, 0, 0])
        assert len(out) == 2 and not out & set(dataset.owners)
        tested += sorted(out)
    assert sorted(tested) == list(range(1, 11))


def test_seeds_are_folds_where_none_is_named(folder):
    for settings, fold in (({"seed": 3}, 3), ({"seed": 8}, 3), ({"seed": 3, "data.fold": 1}, 1)):
        found = tfc.load_dataset(tfc.load("watch", {"data.data_dir": str(folder), **settings}))
        assert set(found.x_test[:, 0, 0]) == {fold + 1, fold + 6}


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (watch_recordings(y=np.zeros(3)), "entry 'y' must hold a whole number for each of 20 recordings"),
        (watch_recordings(subject=np.full(20, 0.5)), "entry 'subject' must hold"),
        (watch_recordings(X=[np.zeros((300, 5))] * 20), r"recording 0 must be finite.*found shape \(300, 5\)"),
        (watch_recordings(steps=99), r"at least 100 steps; found shape \(99, 6\)"),
        (watch_recordings(X=[np.full((200, 6), np.nan)] * 20), "recording 0 must be finite"),
        ({"X": []}, "has no entries X, y, subject, y_labels"),
        (watch_recordings(people=1), "1 people are too few"),
        ({"X": Evil()}, "asks for builtins.print, which no data set needs"),
        (np.zeros(3), "not the recordings"),
    ],
)
def test_another_file_is_refused_and_no_code_in_it_runs(tmp_path, capsys, content, message):
    path = tmp_path / watch.FILE
    np.save(path, content)
    with pytest.raises(tfc.DataError, match=message) as raised:
        watch.watch(path)
    assert str(path) in str(raised.value) and "code ran" not in capsys.readouterr().out


def test_a_bare_pickle_and_a_missing_file_are_refused_in_a_line(tmp_path, capsys):
    path = tmp_path / watch.FILE
    path.write_bytes(pickle.dumps(watch_recordings()))
    assert main(["run", "watch", "--set", f"data.data_dir={path}", "--out", str(tmp_path / "out")]) == 1
    assert "not the recordings of seglearn's watch data set" in capsys.readouterr().err
    assert main(["run", "watch", "--set", f"data.data_dir={tmp_path / 'none'}", "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert watch.INSTALL in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_the_preset_trains_on_people(worker, folder, tmp_path):
    changes = {
        "data.data_dir": str(folder),
        "data.min_examples": 2,
        "rounds": 2,
        "training.batch_size": 2,
        "server.ood_examples": 8,
        "server.epochs": 1,
    }
    finished = tfc.run(tfc.load("watch", changes), tmp_path / "run", progress=False)
    assert finished.summary["communication_ratio"] > 5 and len(finished.rounds) == 2
