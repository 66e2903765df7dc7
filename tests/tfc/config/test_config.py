"""Configurations: TOML in and out, and what is refused."""

import dataclasses
from pathlib import Path

import pytest

from tfc import config
from tfc.base.errors import ConfigError


def test_presets_load_and_survive_a_round_trip(tmp_path):
    assert {"demo", "fashion-resnet8"} <= set(config.preset_names())
    for name in config.preset_names():
        loaded = config.load(name)
        path = tmp_path / f"{name}.toml"
        path.write_text(config.to_toml(loaded))
        assert config.load(str(path)) == loaded


def test_fashion_resnet8_is_the_reference_task():
    loaded = config.load("fashion-resnet8")
    assert (loaded.rounds, loaded.data.num_clients, loaded.data.examples_per_client) == (12, 10, 1112)
    assert (loaded.training.batch_size, loaded.training.learning_rate) == (64, 1e-3)
    assert (loaded.communication.uplink, loaded.server.master) == ("update", True)
    paper = config.load("fashion-resnet8-paper")
    assert (paper.communication.uplink, paper.server.master) == ("weights", False)
    assert (paper.clustering.layers, paper.clustering.start) == ("conv", "kmeans++")
    assert paper.data == loaded.data and paper.rounds == loaded.rounds


def test_overrides_win_and_bare_words_are_strings():
    changes = ["method=fedavg", "training.batch_size=7", "communication.uplink=weights", "server.master=false"]
    loaded = config.load("demo", [*changes, "model.name='resnet20'"])
    assert loaded.method == "fedavg"
    assert loaded.training.batch_size == 7
    assert loaded.server.master is False
    assert loaded.model.name == "resnet20"
    assert config.load("demo", ["communication.rate_weight=.75"]).communication.rate_weight == 0.75


def test_overrides_are_texts_or_mappings():
    texts = config.load("demo", ["rounds=3", "data.num_clients=4", "training.learning_rate=1", "data.data_dir=here"])
    tables = {"rounds": 3, "data": {"num_clients": 4, "data_dir": Path("here")}, "training.learning_rate": 1}
    assert config.load("demo", tables) == texts
    assert config.load("demo", "rounds=3") == config.load("demo", {"rounds": 3}), "one text is one override"
    assert config.load("demo", {"data": {}}) == config.load("demo", {}) == config.load("demo")
    assert tables["data"] == {"num_clients": 4, "data_dir": Path("here")}, "what is given stays as it is"


def test_a_source_is_a_text_or_a_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("rounds = 3")
    assert config.load(path) == config.load(str(path)) == config.from_dict({"rounds": 3})
    with pytest.raises(ConfigError, match=r"no preset and no file named '.*missing\.toml'"):
        config.load(tmp_path / "missing.toml")


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"nonsense": 1}, "unknown key nonsense"),
        ({"data": {"nonsense": 1}}, r"unknown key data\.nonsense"),
        ({"data": {"num_clients": "4"}}, r"data\.num_clients must be of type int, found '4', str"),
        ({"data": 4}, "data must be a table, found 4"),
        ({"rounds": {"of": 3}}, r"rounds\.of: rounds is not a table"),
        ({"rounds.of": 3}, r"rounds\.of: rounds is not a table"),
        ({"data": {3: 4}}, "names of settings are texts, found 3"),
        ({"data": None}, "data must be a table, found None"),
    ],
)
def test_impossible_mappings_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        config.load("demo", overrides)


@pytest.mark.parametrize(
    "override,message",
    [
        ("nonsense=1", "unknown key nonsense"),
        ("training.epochs=1", r"unknown key training\.epochs; known here: training\.batch_size"),
        ("training.batch_size=0", "training.batch_size must be at least 1; found 0"),
        ("training.batch_size=big", "training.batch_size must be of type int, found 'big', str"),
        ("training.batch_size=1.5", "must be of type int, found 1.5, float"),
        ("rounds=true", "rounds must be of type int, found True, bool"),
        ("server.master=1", "server.master must be of type bool"),
        ("server.master=false", "server.master = false needs communication.uplink = 'weights'"),
        ("communication.levels=8", "communication.levels must be odd, so that zero is in the middle; found 8"),
        ("communication.target_ratio=-1", "communication.target_ratio must be at least 0"),
        ("communication.final_rate_weight=0.9", r"final_rate_weight must be at most rate_weight = 0\.5; found 0\.9"),
        ("method=fedsgd", "method must be one of eden, fedavg, fedcompress, fedzip, stc, tff8bit; found 'fedsgd'"),
        ("data.validation_fraction=0", "must be more than 0 for fedcompress"),
        ("data.validation_fraction=1", "at least 0 and less than 1; found 1.0"),
        ("training.learning_rate=0", "more than 0; found 0.0"),
        (
            "clustering.min_clusters=40",
            "clustering.min_clusters must be at most clustering.max_clusters = 32; found 40",
        ),
        ("clustering.max_clusters=257", "at least 2 and at most 256; found 257"),
        ("clients_per_round=99", "clients_per_round must be at most data.num_clients = 5; found 99"),
        ("data.dataset=npz", "data.data_dir must name the NPZ file"),
        ("data=3", "data must be a table"),
        ("rounds", "--set takes key=value"),
        ("rounds.more=1", "rounds is not a table"),
        ("seed=-1", "seed must be at least 0"),
    ],
)
def test_impossible_values_are_refused_with_the_key_and_what_is_allowed(override, message):
    with pytest.raises(ConfigError, match=message):
        config.load("demo", [override])


def test_no_epochs_at_all_are_refused():
    with pytest.raises(ConfigError, match="must be at least 1; found 0"):
        config.load("demo", ["training.plain_epochs=0", "training.clustered_epochs=0"])


def test_missing_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no preset and no file named 'nowhere'; presets: .*\bdemo\b"):
        config.load("nowhere")
    broken = tmp_path / "broken.toml"
    broken.write_text("rounds = ")
    with pytest.raises(ConfigError, match=r"broken\.toml: not a readable TOML file"):
        config.load(str(broken))


def test_every_key_is_described():
    rows = config.describe()
    assert len({name for name, *_ in rows}) == len(rows)
    assert all(meaning for *_, meaning in rows)
    groups = [field for field in dataclasses.fields(config.ExperimentConfig) if field.default is dataclasses.MISSING]
    assert all(any(name.startswith(f"{group.name}.") for name, *_ in rows) for group in groups)


@pytest.mark.parametrize(
    "overrides,message",
    [
        (["communication.uplink=weights", "training.clustered_epochs=0"], "clustered_epochs must be at least 1 where"),
        (
            ["communication.uplink=weights", "training.clustered_epochs=1", "communication.target_ratio=9"],
            "target_ratio needs communication.uplink",
        ),
        (
            ["training.plain_epochs=0", "training.clustered_epochs=2"],
            "training.plain_epochs must be at least 1 where communication.uplink = 'update'",
        ),
        (["clients_per_round=2", "communication.target_ratio=9"], "target_ratio needs full participation"),
        (
            ["server.compression=false"],
            r"needs communication.uplink = 'weights', clustering.start = 'kmeans\+\+', server.master = false: its",
        ),
    ],
)
def test_settings_without_the_effect_they_promise_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        config.load("demo", overrides)
    config.load("demo", ["method=fedavg", *overrides])
