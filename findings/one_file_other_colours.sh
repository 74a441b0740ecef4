#!/usr/bin/env bash
# A slide or picture is opened by whichever reader is at hand. One would guess that the pixels, the levels and the size of
# a pixel are the file's, whoever reads it.
# Found, on files that this script writes from known pixels:
# - an Aperio JPEG 2000 slide (compression 33003) holds YCbCr: OpenSlide converts it, tifffile and tiffslide hand it out as
#   RGB without a word, so that pink tissue is grey and no error tells;
# - of an OME-TIFF pyramid OpenSlide and tiffslide know no pixel size, and OpenSlide sees one of the three levels;
# - a TIFF whose 16 bits hold 12 of a camera is nearly black in OpenSlide, and a PNG of that sort in Pillow: both keep the
#   upper 8 of 16 bits; tifffile and imagecodecs give the numbers themselves;
# - a TIFF of 72 dpi, as drawing programs write, has 352.8 um a pixel in OpenSlide and tiffslide, which no microscope has;
# - beyond its edge a slide is transparent black in OpenSlide and black in tiffslide: as dark as a nucleus.
# What it means: check colours on pixels that are known before a model sees them; convert 33003 by hand where OpenSlide
# does not read; take the pixel size from the OME-XML; refuse sizes that no microscope has; lay slides on white.
# Versions: openslide-python 1.4.7, openslide-bin 4.0.1.2, tiffslide 3.0.1, tifffile 2026.3.3, imagecodecs 2026.3.6, pillow 13.0.0. Date: 2026-11-27.
# Source: openslide.org/formats/aperio, www.openmicroscopy.org/Schemas/OME/2016-06, and this script.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet openslide-python==1.4.7 openslide-bin==4.0.1.2 tiffslide==3.0.1 tifffile==2026.3.3 \
  imagecodecs==2026.3.6 pillow==13.0.0
cd "$folder"
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import imagecodecs
import numpy as np
import tifffile
from openslide import OpenSlide
from PIL import Image
from tiffslide import TiffSlide

for package in ("openslide-python", "openslide-bin", "tiffslide", "tifffile", "imagecodecs", "pillow"):
    print(package, version(package))

PINK = (230, 130, 190)  # eosin
picture = np.full((256, 256, 3), PINK, np.uint8)
SLIDES = {"OpenSlide": OpenSlide, "tiffslide": TiffSlide}
TILES = {"photometric": "rgb", "tile": (64, 64)}


def first_pixel(slide, place=(8, 8)):
    return tuple(map(int, np.asarray(slide.read_region(place, 0, (1, 1)))[0, 0]))


def near(found, expected):
    return np.abs(np.subtract(found[:3], expected)).max() <= 3


aperio = "Aperio Image Library v12.0.15|AppMag = 40|MPP = 0.25"
ycbcr = np.asarray(Image.fromarray(picture).convert("YCbCr"))
options = TILES | {"compression": "aperio_jp2000_ycbc", "compressionargs": {"mct": False}, "metadata": None}
tifffile.imwrite("a.svs", ycbcr, description=aperio, **options)
found = {name: first_pixel(open_slide("a.svs")) for name, open_slide in SLIDES.items()}
found["tifffile"] = tuple(map(int, tifffile.imread("a.svs")[8, 8]))
print(f"\nAperio JPEG 2000 of the colour {PINK}:", found)
assert near(found["OpenSlide"], PINK)
assert near(found["tiffslide"], ycbcr[0, 0])
assert near(found["tifffile"], ycbcr[0, 0])
found = {name: first_pixel(open_slide("a.svs"), (300, 300)) for name, open_slide in SLIDES.items()}
print("beyond its edge:", found)
assert found["OpenSlide"] == (0, 0, 0, 0)
assert found["tiffslide"][:3] == (0, 0, 0)

size = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm"}
with tifffile.TiffWriter("a.ome.tif", ome=True) as file:
    file.write(picture, subifds=2, metadata=size, **TILES)
    file.write(picture[::2, ::2], subfiletype=1, **TILES)
    file.write(picture[::4, ::4], subfiletype=1, **TILES)
found = {name: (slide.level_count, slide.properties.get(f"{name.lower()}.mpp-x")) for name, slide in
         ((name, open_slide("a.ome.tif")) for name, open_slide in SLIDES.items())}
print("OME-TIFF of 3 levels and 0.25 um:", found)
assert found["OpenSlide"] == (1, None)
assert found["tiffslide"] == (3, None)

deep = picture.astype(np.uint16) * 16  # 12 bits
tifffile.imwrite("deep.tif", deep, metadata=None, **TILES)
open("deep.png", "wb").write(imagecodecs.png_encode(deep))
found = {"OpenSlide": first_pixel(OpenSlide("deep.tif")), "Pillow": Image.open("deep.png").getpixel((8, 8))}
found |= {"tifffile": tuple(map(int, tifffile.imread("deep.tif")[8, 8]))}
print(f"12 bits of {PINK}:", found)
assert max(found["OpenSlide"][:3] + found["Pillow"]) < 16
assert near(np.divide(found["tifffile"], 16), PINK)

tifffile.imwrite("screen.tif", picture, resolution=(72, 72), resolutionunit="inch", metadata=None, **TILES)
found = {name: float(open_slide("screen.tif").properties[f"{name.lower()}.mpp-x"]) for name, open_slide in SLIDES.items()}
print("72 dpi:", found)
assert all(abs(um_per_px - 352.8) < 0.1 for um_per_px in found.values())
PYTHON
