"""The shipped network on ONNX Runtime: the same weights, the same logits, and files that are not whole refused."""

import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from helpers.errors import InputError
from helpers.inference.export import describe
from helpers.inference.onnx_network import HASH, KEY, OnnxNetwork, hash_before, usable_cores
from helpers.inference.trained_model import WEIGHTS, load_model, shipped_model
from helpers.normalization import normalize
from helpers.sample_tissue.sample import sample_field

ONNX = WEIGHTS.with_suffix(".onnx")
APART = 1e-3  # logits


@pytest.fixture(scope="module")
def fast():
    return load_model(ONNX)


@pytest.fixture(scope="module")
def exact():
    return load_model()


def whole_logits(model, images: np.ndarray) -> dict[str, np.ndarray]:
    """Give PyTorch's logits in float32, whatever this processor would rather compute in."""
    with torch.inference_mode():
        return {name: maps.numpy() for name, maps in model.network(normalize(images)).items()}


def furthest(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    assert {name: (maps.shape, maps.dtype) for name, maps in found.items()} == {
        name: (maps.shape, maps.dtype) for name, maps in expected.items()
    }
    return max(float(np.abs(found[name] - maps).max()) for name, maps in expected.items())


def test_it_knows_what_the_other_file_knows(fast, exact):
    for name in ("um_per_px", "threshold_logit", "temperature", "attention", "seen", "digest"):
        assert getattr(fast, name) == getattr(exact, name), name
    for name in ("name", "img_size", "in_channels", "outputs", "kinds"):
        assert getattr(fast.network, name) == getattr(exact.network, name), name


def test_its_weights_are_those_of_the_safetensors_to_the_bit():
    kept = {
        tensor.name.removesuffix(".half"): onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(ONNX).graph.initializer
    }
    tensors = {name: value.numpy() for name, value in load_file(WEIGHTS).items() if "num_batches" not in name}
    assert len(tensors) > 300
    for name, expected in tensors.items():
        np.testing.assert_array_equal(kept[f"network.{name}"], expected, name)
    assert ONNX.stat().st_size < 8e6


def test_its_logits_are_those_of_pytorch_on_sample_tissue(fast, exact):
    images = sample_field(3)[0][None, :128, :256]
    expected = whole_logits(exact, images)
    assert furthest(fast.run(images), expected) < APART
    assert expected["nuclei"].std() > 1


def test_its_logits_are_those_of_pytorch_on_real_tissue(fast, exact, real_dataset):
    path = real_dataset / "Images" / "images.npy"
    tiles = np.load(path, mmap_mode="r")
    images = np.array(tiles[:: len(tiles) // 3][:3, :128]).astype(np.uint8)
    expected = whole_logits(exact, images)
    assert furthest(fast.run(images), expected) < APART
    assert (expected["nuclei"] > 0).any()


@pytest.mark.parametrize("shape", [(1, 100, 75), (2, 64, 33), (3, 1, 1), (1, 31, 200)])
def test_any_batch_height_and_width(fast, exact, shape):
    images = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert furthest(fast.run(images), whole_logits(exact, images)) < APART


def test_batches_come_back_in_order(fast):
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    expected = fast.network.run(images, batch_size=5)
    assert furthest(fast.network.run(images, batch_size=2), expected) < 1e-4
    views = np.ascontiguousarray(images[:, :, ::-1])[:, :, ::-1]  # as turned tiles are
    assert furthest(fast.run(views), expected) < 1e-4


def test_threads_share_it(fast):
    images = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    expected = [fast.run(images[index : index + 1]) for index in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: fast.run(images[index : index + 1]), range(8)))
    for one, other in zip(found, expected, strict=True):
        assert furthest(one, other) < 1e-5


def test_it_goes_to_another_process(fast):
    again = pickle.loads(pickle.dumps(fast))
    images = np.zeros((1, 32, 32, 3), np.uint8)
    assert furthest(again.run(images), fast.run(images)) < 1e-5
    assert (again.network.kinds, again.digest) == (fast.network.kinds, fast.digest)


def test_another_device_is_refused(fast):
    with pytest.raises(InputError, match=r"device cuda: an \.onnx file runs on the CPU; give the \.safetensors"):
        fast.run(np.zeros((1, 32, 32, 3), np.uint8), "cuda")


def test_threads_are_those_given_or_all_that_may_be_used(monkeypatch):
    seen = []

    class Noted(onnxruntime.InferenceSession):
        def __init__(self, content, options, **more):
            seen.append(options.intra_op_num_threads)
            super().__init__(content, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Noted)
    for threads in (1, None):
        OnnxNetwork(ONNX.read_bytes(), threads)
    assert seen == [1, usable_cores()]


def test_no_torch_is_needed_to_load_and_run_it():
    code = """
import sys
sys.modules |= dict.fromkeys(("torch", "torchvision", "onnx", "safetensors"))  # importing them fails
import numpy as np
from helpers.inference.symmetries import SYMMETRIES, turn, turn_back
from helpers.inference.trained_model import shipped_model
tiles = np.zeros((1, 64, 64, 3), np.uint8)
print(turn_back(shipped_model(fastest=True).run(turn(tiles, SYMMETRIES[5]))["kinds"], SYMMETRIES[5]).shape)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.stdout.strip(), run.returncode) == ("(1, 4, 64, 64)", 0), run.stderr


def test_the_fastest_is_asked_for_by_who_only_predicts():
    assert isinstance(shipped_model(fastest=True).network, OnnxNetwork)
    assert isinstance(shipped_model().network, torch.nn.Module)
    assert shipped_model(fastest=True) is shipped_model(fastest=True)


# Files that are not whole.


def rewrite(change) -> bytes:
    """Give the shipped file with another description, after `change(about)`."""
    model = onnx.load(ONNX)
    about = json.loads(model.metadata_props[0].value)
    change(about)
    return describe(model, about)


def put(text: str) -> bytes:
    model = onnx.load(ONNX)
    model.metadata_props[0].value = text
    return model.SerializeToString()


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ONNX.read_bytes()[:-100_000], "expected a whole ONNX file, it cannot be read"),
        (lambda: WEIGHTS.read_bytes(), "expected a whole ONNX file, it cannot be read"),
        (lambda: b"", "expected a whole ONNX file, it cannot be read"),
        (lambda: flip_a_bit(ONNX.read_bytes()), "the file has changed since it was exported"),
        (lambda: rewrite(lambda about: about.update(format=1)), r"expected weights .* \(format 2\), found format 1"),
        (lambda: put("{"), "description inside the file is damaged"),
        (lambda: put("[]"), "description inside the file is damaged"),
        (lambda: rewrite(lambda about: about.pop("um_per_px")), "description inside the file is damaged"),
        (lambda: rewrite(lambda about: about.update(um_per_px=350)), "expected a scale in um/px"),
        (lambda: rewrite(lambda about: about.update(architecture=[3])), "description inside the file is damaged"),
        (lambda: rewrite(lambda about: about["architecture"].pop("img_size")), "is damaged"),
    ],
)
def test_what_is_not_whole_is_refused(tmp_path, make, message):
    path = tmp_path / "network.onnx"
    path.write_bytes(make())
    with pytest.raises(InputError, match=message) as refusal:
        load_model(path)
    assert str(refusal.value).startswith(str(path))
    assert "\n" not in str(refusal.value)


def test_somebody_elses_network_is_refused(tmp_path):
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match="expected weights that this package exported .format 2., found format None"):
        load_model(tmp_path / "other.onnx")


def test_hash_is_of_what_stands_before_the_description():
    content = ONNX.read_bytes()
    text = onnx.load(ONNX).metadata_props[0].value
    assert onnx.load(ONNX).metadata_props[0].key == KEY
    assert hash_before(content, text) == json.loads(text)[HASH] != hash_before(flip_a_bit(content), text)


@pytest.mark.skipif(sys.platform == "win32", reason="there Windows itself keeps what ONNX Runtime reports")
def test_onnx_runtime_keeps_no_identity_and_reports_nothing(tmp_path):
    code = "import numpy, helpers; helpers.predict(numpy.full((64, 64, 3), 90, numpy.uint8), 0.25)"
    environment = {key: value for key, value in os.environ.items() if key not in ("ORT_DISABLE_TELEMETRY", "CI")}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, check=True)
    assert [str(path) for path in tmp_path.rglob("*") if "icrosoft" in str(path)] == []
