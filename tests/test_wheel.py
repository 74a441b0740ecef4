"""The wheel: weights inside, and in an environment with no more than it asks for `predict` works from any folder."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What the extras bring, by the names under which it is imported; the base installation must do without.
EXTRAS = (
    "segmentation_models_pytorch",
    "pandas",
    "seaborn",
    "sklearn",
    "matplotlib",
    "requests",
    "distributed",
    "onnx",
    "onnxscript",
    "IPython",
)
PREDICT = """
import sys

sys.modules |= dict.fromkeys({extras!r})  # None: importing it fails as if it were not installed
import numpy as np
import helpers
from helpers.__main__ import main
from helpers.inference.trained_model import WEIGHTS

image = np.full((300, 300, 3), 230, np.uint8)
image[100:140, 100:140] = (70, 40, 120)
print(WEIGHTS)
print(helpers.predict(image, um_per_px=0.25).mask.shape, "torch" in sys.modules)
print(helpers.predict(image, um_per_px=0.25, model=helpers.load_model("int8")).mask.shape, "torch" in sys.modules)
main(["sample", "tissue.tif"])
print(main(["predict", "tissue.tif", "--out", "found"]), "torch" in sys.modules)
print(helpers.examine(image[:64, :64], um_per_px=0.25).mask.shape)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel from what the checkout holds."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    (path,) = out.glob("*.whl")
    return path


def test_weights_card_and_licences_are_inside(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = Parser().parsestr(archive.read(next(name for name in names if name.endswith("METADATA"))).decode())
        for weights in ("nuclei_lite0.safetensors", "nuclei_lite0.onnx", "nuclei_lite0_int8.onnx"):
            assert archive.read(f"helpers/models/{weights}") == (ROOT / "models" / weights).read_bytes()
    assert metadata["License-Expression"] == "MIT AND CC-BY-NC-SA-4.0"
    assert {"LICENSE", "MODEL_CARD.md"} == {Path(name).name for name in metadata.get_all("License-File")}
    assert "helpers/inference/predict.py" in names
    assert [name for name in names if name.startswith(("tests", "findings", "helpers/models/results"))] == []


def test_it_predicts_elsewhere_with_no_more_than_it_asks_for(wheel, tmp_path):
    # The packages come from this environment, those of the extras refused: downloading PyTorch again tells no more.
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    here = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    paths = os.pathsep.join(sorted(here))
    (tmp_path / "elsewhere").mkdir()
    # Of the path files of this environment none is read, so the checkout, installed in place, is not found.
    found = subprocess.run(
        [str(python), "-c", f"import sys; sys.path += {paths.split(os.pathsep)!r}\n" + PREDICT.format(extras=EXTRAS)],
        cwd=tmp_path / "elsewhere", capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-2000:]
    weights, array, eight, _, *command, examined = found.stdout.splitlines()
    assert Path(weights).is_relative_to(tmp_path / "env")
    assert array == eight == "(300, 300) False"  # no PyTorch is waited for
    assert command[-1] == "0 False"
    assert (tmp_path / "elsewhere/found/tissue.geojson").stat().st_size > 10_000
    assert examined == "(64, 64)"
