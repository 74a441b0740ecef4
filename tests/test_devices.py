"""Where to compute, and when in fewer bits."""

import pytest
import torch
from tiny_run import make_network
from torch import nn

from helpers import devices
from helpers.devices import choose_batch_size, cpu_has_bfloat16, mixed_precision, on_device, pick_device
from helpers.errors import InputError

CPU = torch.device("cpu")


@pytest.mark.parametrize("has", [False, True])
@pytest.mark.parametrize("enabled", [False, True])
def test_bfloat16_only_where_the_processor_computes_in_it(monkeypatch, has, enabled):
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: has)
    with mixed_precision(CPU, enabled):
        result = nn.functional.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3))
        assert torch.is_autocast_enabled("cpu") == (has and enabled)
    assert result.dtype == (torch.bfloat16 if has and enabled else torch.float32)
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": False, "avx2": True}, False),
        ({"architecture": "aarch64"}, False),
        ({}, False),
    ],
)
def test_bfloat16_instructions(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert cpu_has_bfloat16() is expected


def test_older_torch_does_not_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert cpu_has_bfloat16() is False


def test_device_is_the_gpu_where_there_is_one(monkeypatch):
    for available, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert pick_device() == torch.device(expected)


def test_another_device_gets_a_copy():
    network = make_network()
    assert on_device(network, "cpu") is network
    moved = on_device(network, "meta")
    assert {parameter.device.type for parameter in moved.parameters()} == {"meta"}
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}


def test_a_cpu_takes_as_many_pixels_at_once_whatever_the_tile():
    sizes = {side: choose_batch_size(side, CPU) for side in (32, 128, 256, 1024)}
    assert sizes == {32: 16, 128: 8, 256: 2, 1024: 1}
    assert choose_batch_size(256, torch.device("cuda")) == 16


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match=r"device nonsense: expected one .* here, found none \(.*give cpu"):
        on_device(nn.Conv2d(1, 1, 1), "nonsense")
