"""ImageNet weights from a server of our own: taken when they are whole and right, done without in every other case."""

import hashlib
import io
import os
import pickle
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from efficientnet_pytorch import EfficientNet
from torch import nn

from helpers.model import RANDOM_START_MOMENTUM, EfficientNetSegmentation
from helpers.training import encoder_weights
from helpers.training.encoder_weights import PRETRAINED_MOMENTUM, load_imagenet_weights, url_map

PAGE = b"<!doctype html><title>Sign in to the network</title>" * 40


class Server(ThreadingHTTPServer):
    """Serves `files`: name to status, body, and how many bytes of the body are really sent."""

    files: dict[str, tuple[int, bytes, int | None]]

    def url(self, name: str) -> str:
        """Give the address of one file."""
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def put(self, body: bytes, status: int = 200, digest_of: bytes | None = None, sent: int | None = None) -> str:
        """Serve `body` under a name with the digest of `digest_of` (its own if None); return the address."""
        digest = hashlib.sha256(body if digest_of is None else digest_of).hexdigest()
        name = f"efficientnet-b0-{digest[:8]}.pth"
        self.files[name] = (status, body, sent)
        return self.url(name)


class Handler(BaseHTTPRequestHandler):
    """Answers GET from the server's files."""

    def do_GET(self) -> None:
        """Send what was put there."""
        status, body, sent = self.server.files.get(self.path[1:], (404, PAGE, None))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:sent])

    def log_message(self, *arguments: object) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.files = {}
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


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


@pytest.fixture
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


def assert_left_at_random(model: EfficientNetSegmentation, url: str, capsys: pytest.CaptureFixture) -> str:
    """Load from `url` and check that it fails gently; return the sentence."""
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


def kept(hub: Path) -> list[str]:
    return sorted(path.name for path in (hub / "checkpoints").iterdir())


def test_published_weights_are_taken(server, hub, model, published, capsys):
    decoder = {name: value.clone() for name, value in model.decoder.state_dict().items()}
    url = server.put(to_bytes(published))
    assert load_imagenet_weights(model, url) == "imagenet"
    own = model.encoder.state_dict()
    assert set(published) - set(own) == {"_fc.weight", "_fc.bias"}
    assert all(torch.equal(value, published[name]) for name, value in own.items())
    assert all(torch.equal(value, decoder[name]) for name, value in model.decoder.state_dict().items())
    assert momenta(model.encoder) == {PRETRAINED_MOMENTUM} == {0.01}
    assert momenta(model.decoder) == {RANDOM_START_MOMENTUM}
    assert "cannot" not in capsys.readouterr().out
    # A second time without the server.
    server.files.clear()
    assert load_imagenet_weights(EfficientNetSegmentation(), url) == "imagenet"


def test_default_is_the_authors_file_with_its_digest():
    assert url_map["efficientnet-b0"].endswith("/efficientnet-b0-355c32eb.pth")
    assert load_imagenet_weights.__defaults__ == (url_map["efficientnet-b0"],)


def test_wrong_digest(server, hub, model, published, capsys):
    url = server.put(to_bytes(published), digest_of=b"something else")
    assert "invalid hash" in assert_left_at_random(model, url, capsys)
    assert kept(hub) == []


def test_no_such_file(server, hub, model, capsys):
    assert "404" in assert_left_at_random(model, server.url("efficientnet-b0-00000000.pth"), capsys)
    assert kept(hub) == []


@pytest.mark.parametrize("status", [403, 500, 503])
def test_server_that_refuses(server, hub, model, capsys, status):
    assert str(status) in assert_left_at_random(model, server.put(PAGE, status), capsys)
    assert kept(hub) == []


def test_page_instead_of_a_file(server, hub, model, published, capsys):
    assert_left_at_random(model, server.put(PAGE, digest_of=to_bytes(published)), capsys)
    assert kept(hub) == []


@pytest.mark.parametrize("body", [PAGE, b"", b"epoch,val_dice\n1,0.5\n"])
def test_other_file_whose_digest_is_right(server, hub, model, capsys, body):
    assert_left_at_random(model, server.put(body), capsys)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_connection_that_breaks_off(server, hub, model, published, capsys, share):
    body = to_bytes(published)
    assert_left_at_random(model, server.put(body, sent=int(len(body) * share)), capsys)
    assert kept(hub) == []


def test_half_a_file(server, hub, model, published, capsys):
    body = to_bytes(published)
    assert_left_at_random(model, server.put(body[: len(body) // 2], digest_of=body), capsys)
    assert kept(hub) == []


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        """Say how to be built: by making the folder."""
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("bare", [False, True])
def test_code_in_the_file_does_not_run(server, hub, model, capsys, tmp_path, bare):
    trace = tmp_path / "code-ran"
    value = {"_conv_stem.weight": Code(trace)}
    body = pickle.dumps(value, protocol=2) if bare else to_bytes(value)
    assert_left_at_random(model, server.put(body), capsys)
    assert not trace.exists()
    pickle.loads(body) if bare else torch.load(io.BytesIO(body), weights_only=False)
    assert trace.exists()  # the trap works


@pytest.mark.parametrize("change", ["missing", "shape", "list"])
def test_weights_of_another_network(server, hub, model, published, capsys, change):
    weights = dict(published)
    if change == "missing":
        del weights["_blocks.3._bn1.running_var"]
    elif change == "shape":
        weights["_conv_head.weight"] = torch.zeros(1536, 320, 1, 1)
    else:
        weights = [1, 2, 3]
    sentence = assert_left_at_random(model, server.put(to_bytes(weights)), capsys)
    expected = {"missing": "_blocks.3._bn1.running_var", "list": "_conv_stem.weight"}.get(change, "_conv_head.weight")
    assert f"no fitting {expected}" in sentence


def test_gray_network_takes_no_colour_weights(server, hub, published, capsys):
    model = EfficientNetSegmentation(in_channels=1)
    assert "_conv_stem.weight" in assert_left_at_random(model, server.put(to_bytes(published)), capsys)


def test_server_that_never_answers(hub, model, capsys, monkeypatch):
    monkeypatch.setattr(encoder_weights, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/efficientnet-b0-355c32eb.pth"
        assert "timed out" in assert_left_at_random(model, url, capsys)
    assert kept(hub) == []


def test_server_that_speaks_another_language(hub, model, capsys):
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/efficientnet-b0-355c32eb.pth"
        assert_left_at_random(model, url, capsys)
        thread.join()
    assert kept(hub) == []


def test_no_network(hub, model, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    sentence = assert_left_at_random(model, f"http://127.0.0.1:{port}/efficientnet-b0-355c32eb.pth", capsys)
    assert "refused" in sentence
    assert kept(hub) == []


def test_hub_folder_that_cannot_be_made(model, capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "file"))
    try:
        assert_left_at_random(model, "http://127.0.0.1:9/efficientnet-b0-355c32eb.pth", capsys)
    finally:
        torch.hub.set_dir(before)
