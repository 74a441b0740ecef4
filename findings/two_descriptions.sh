#!/usr/bin/env bash
# A picture is saved by tifffile with a description that tells its scale, `imwrite(..., description="...MPP = 0.5")`. One
# would guess that the file holds this one description, and that every reader gives it.
# Found: the file holds two tags of the number 270, the given text and then a JSON text of tifffile's own. Such a pair is
# against TIFF's rule of one tag a number, so every reader takes its own: Pillow, GDAL (through rasterio) and tifffile's
# `description` the first, OpenSlide the last; there the given text is nowhere to be seen, and the scale with it. With
# `metadata=None` there is one.
# What it means: where a description must survive, write with `metadata=None`; where a scale counts, put it into the
# resolution tags too, which all of them read; and a reader of scales should look at every description.
# Versions: tifffile 2026.3.3, pillow 13.0.0, openslide-python 1.4.7, openslide-bin 4.0.1.2, rasterio 1.4.4. Date: 2026-11-28.
# Source: TIFF 6.0, section 2 (adobe.com), tifffile's documentation of `TiffWriter.write`, and this script.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet tifffile==2026.3.3 pillow==13.0.0 openslide-python==1.4.7 openslide-bin==4.0.1.2 \
  rasterio==1.4.4
cd "$folder"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import rasterio
import tifffile
from openslide import OpenSlide
from PIL import Image

for package in ("tifffile", "pillow", "openslide-python", "openslide-bin", "rasterio"):
    print(package, version(package))

GIVEN = "scanned at 20x|MPP = 0.5"
picture = np.full((64, 64, 3), 200, np.uint8)


def descriptions(name, **options):
    """Write the picture, and give what each reader calls its description."""
    tifffile.imwrite(name, picture, photometric="rgb", tile=(32, 32), description=GIVEN, **options)
    with tifffile.TiffFile(name) as file:
        inside = [tag.value for tag in file.pages[0].tags.getall(270)]
        own = file.pages[0].description
    with Image.open(name) as image, OpenSlide(name) as slide, rasterio.open(name) as raster:
        found = {
            "tifffile": own,
            "Pillow": image.tag_v2[270],
            "OpenSlide": slide.properties["tiff.ImageDescription"],
            "GDAL": raster.tags()["TIFFTAG_IMAGEDESCRIPTION"],
        }
    print(f"{name}: the file holds {inside}")
    for reader, text in found.items():
        print(f"  {reader}: {text}")
    return inside, found


inside, found = descriptions("as_usual.tif")
own = '{"shape": [64, 64, 3]}'
assert inside == [GIVEN, own]
assert found == {"tifffile": GIVEN, "Pillow": GIVEN, "OpenSlide": own, "GDAL": GIVEN}
inside, found = descriptions("without_metadata.tif", metadata=None)
assert inside == [GIVEN]
assert set(found.values()) == {GIVEN}
print("As described.")
PYTHON
