"""Public functions take paths as texts, too; and what names no file or no runtime is refused."""

import pytest

import edge

QUICK = edge.BenchSettings(min_runs=5, min_seconds=0.0, slices=2)


def test_paths_are_texts_or_paths(exported, tmp_path):
    f32, int8, data = (exported / name for name in ("model-f32.tflite", "model-int8.tflite", "test.npz"))
    assert edge.inspect(str(int8)) == edge.inspect(int8)
    model = edge.TfliteModel(str(f32), edge.find_runtime())
    assert model.path == f32
    settings = edge.VerifySettings(random_inputs=3, min_agreement=0.0)
    assert edge.verify(str(f32), str(int8), str(data), settings) == edge.verify(f32, int8, data, settings)
    result = edge.bench_files([str(int8), int8], baseline=str(f32), data=str(data), settings=QUICK)
    assert [each["name"] for each in result["files"]] == [f32.name, int8.name], "each file once, however it is named"
    assert result["files"][0]["accuracy"] == 1.0
    done = edge.export(str(exported / "model.keras"), str(tmp_path), ("int8",), str(exported / "calibration.npz"))
    assert done.paths == {"int8": tmp_path / "model-int8.tflite"}
    assert done.paths["int8"].read_bytes() == int8.read_bytes()


def test_no_file_and_no_such_runtime_are_refused(exported):
    with pytest.raises(edge.EdgeError, match="no file to measure"):
        edge.bench_files([])
    with pytest.raises(edge.RuntimeMissingError, match="no runtime is called 'mine'; known: auto, litert"):
        edge.find_runtime("mine")
    with pytest.raises(edge.RuntimeMissingError, match="no runtime is called 'mine'"):
        edge.bench_files([exported / "model-f32.tflite"], runtime="mine")
