"""Build the static page: its own files, the network and its runtime, painted samples, and the report.

    python -m page.build build/page
    python -m page.build build/page --without-report    # in seconds, to try changes

The packages of `package-lock.json` must be there (`npm ci` in `page/`). What both the page and Python must agree on is
written into `model.json` from Python's own modules, so that nothing stands in two places.
"""

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

from PIL import Image

from helpers.config import SCALES, TILE_UM_PER_PX
from helpers.errors import InputError
from helpers.inference import blocks, instances, tiles
from helpers.inference.outputs import ENDINGS
from helpers.inference.trained_model import WEIGHTS, load_model
from helpers.pictures import checks, outside, stain_check, tissue_area
from helpers.pictures.plain_image import UM_PER_INCH
from helpers.pictures.scale_tags import RESOLUTION_UNITS, UNITS
from helpers.pictures.told_scale import PLAUSIBLE, SQUARE
from helpers.sample_tissue.sample import sample_field
from helpers.saving.colours import kind_colour
from helpers.stain import WHITE
from page.report import write_report

SOURCES = Path(__file__).parent
PACKAGES = SOURCES / "node_modules"
OWN = ("index.html", "style.css", "report.css", "icon.svg", "service-worker.js")
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
NETWORK = WEIGHTS.with_suffix(".onnx")
SAMPLES = 5  # one of each painted tissue
SMALL = 128  # pixels a side of their small copies
NOTEBOOK = SOURCES.parent / "cancer_nuclei_analysis.ipynb"
REPORT = "report"
LISTING = "files.json"


def build_page(out: Path, notebook: Path | None = NOTEBOOK) -> Path:
    """Write the page into a folder, made anew.

    Args:
        out: the folder; what it held before is deleted, if a page was built there.
        notebook: the executed one that becomes the report; None for a page without it.

    Returns:
        `out`.

    Raises:
        InputError: the JavaScript packages are not there, or `out` holds something else.
    """
    runtime, tiff_reader = PACKAGES / "onnxruntime-web/dist", PACKAGES / "geotiff/dist-browser/geotiff.js"
    if missing := next((path for path in (runtime, tiff_reader) if not path.exists()), None):
        raise InputError(f"{missing}: expected the JavaScript packages; run `npm ci --ignore-scripts` in {SOURCES}")
    if out.exists() and any(out.iterdir()) and not (out / LISTING).is_file():
        raise InputError(f"{out}: expected no such folder, or one with an earlier page, found another; name a new one")
    made = out.with_name(f"{out.name}.partial")  # so that `out` holds a whole page or an earlier one
    shutil.rmtree(made, ignore_errors=True)
    (made / "onnxruntime").mkdir(parents=True)
    for name in OWN:
        shutil.copy(SOURCES / name, made)
    shutil.copytree(SOURCES / "modules", made / "modules")
    for name in RUNTIME:
        shutil.copy(runtime / name, made / "onnxruntime")
    (made / "geotiff").mkdir()
    shutil.copy(tiff_reader, made / "geotiff")
    shutil.copy(NETWORK, made / "model.onnx")
    (made / "model.json").write_text(json.dumps(describe_model() | {"samples": write_samples(made)}), encoding="utf-8")
    if notebook:
        write_report(notebook, made / REPORT)
    list_files(made)
    shutil.rmtree(out, ignore_errors=True)
    made.rename(out)
    return out


def describe_model() -> dict[str, object]:
    """Tell what the page must know of the network, and all numbers by which Python finds nuclei."""
    model = load_model(NETWORK)
    kinds = list(model.network.kinds)
    return {
        "um_per_px": model.um_per_px,
        "threshold_logit": model.threshold_logit,
        "temperature": model.temperature,
        "img_size": model.network.img_size,
        "kinds": kinds,
        "endings": ENDINGS | {"png": Path(ENDINGS["labels"]).with_suffix(".png").name},
        "colours": {kind: kind_colour(kind) for kind in kinds},
        "overlap": tiles.OVERLAP,
        "nothing": tiles.NOTHING,
        "block_side": blocks.SIDE,
        "block_reach": blocks.REACH,
        "near_um": blocks.NEAR_UM,
        "core_logit": instances.CORE_LOGIT,
        "core_um2": instances.CORE_UM2,
        "hole_um2": instances.HOLE_UM2,
        "smallest_um2": instances.SMALLEST_UM2,
        "black": outside.BLACK,
        "fewest_black": outside.FEWEST,
        "fringe": outside.FRINGE,
        "tissue": limits_of(tissue_area),
        "checks": limits_of(checks),
        "stain": limits_of(stain_check) | {"white": WHITE},
        "scales": SCALES,
        "plausible": PLAUSIBLE,
        "square": SQUARE,
        "units": UNITS,
        "resolution_units": RESOLUTION_UNITS,
    }


def limits_of(module: ModuleType) -> dict[str, object]:
    """Give the constants of a module, by their names in small letters."""
    return {name.lower(): value for name, value in vars(module).items() if name.isupper()}


def write_samples(out: Path) -> list[dict[str, str]]:
    """Paint samples that tell their scale, and list them by the name of their tissue."""
    (out / "samples").mkdir()
    samples = []
    for slide in range(SAMPLES):
        image, _, tissue = sample_field(slide)
        file = f"samples/{tissue.lower().replace(' ', '-')}.png"
        dpi, small = UM_PER_INCH / TILE_UM_PER_PX, file.replace(".png", ".small.jpg")
        Image.fromarray(image).save(out / file, dpi=(dpi, dpi), optimize=True)
        Image.fromarray(image).resize((SMALL, SMALL), Image.Resampling.BOX).save(out / small, quality=85)
        samples.append({"name": tissue, "file": file, "small": small})
    return samples


def list_files(out: Path) -> None:
    """Write what the service worker keeps for use without a network, under a name that changes with any of it."""
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    kept = [name for name in files if name != "service-worker.js"]
    digest = hashlib.sha256()
    for name in files:
        digest.update(name.encode() + b"\0" + (out / name).read_bytes())
    listing = {"version": digest.hexdigest()[:16], "files": kept}
    (out / LISTING).write_text(json.dumps(listing), encoding="utf-8")
    # A browser fetches what is new only when the service worker itself has changed.
    with (out / "service-worker.js").open("a", encoding="utf-8") as file:
        file.write(f"\n// {listing['version']}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write, made anew")
    parser.add_argument("--without-report", action="store_true", help="leave out the executed notebook")
    chosen = parser.parse_args()
    try:
        print(f"The page is written: {build_page(chosen.out, None if chosen.without_report else NOTEBOOK).resolve()}")
    except InputError as error:
        sys.exit(str(error))
