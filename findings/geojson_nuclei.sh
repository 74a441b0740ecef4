#!/usr/bin/env bash
# Nuclei go to QuPath as GeoJSON: contours by OpenCV, mended by shapely, written by geopandas. One would guess that nuclei arrive as they were.
# Found, on a nucleus of 3 x 3 pixels, one of a single pixel, and one with a tail of a pixel's width:
# - OpenCV's contours run through pixels' centres: areas 4 instead of 9 and 0 instead of 1, and the tail is a line walked to and fro,
#   which is no valid polygon.
# - shapely's make_valid turns the nucleus with a tail into a GeometryCollection of polygon and line, which QuPath refuses as an
#   object. method="structure" with keep_collapsed=False keeps a polygon, without the tail.
# - geopandas takes pixels for degrees: what it reads is in EPSG:4326 (areas warn), what it writes says CRS84. A feature's id comes
#   back as a property, where QuPath does not look for it, so every object gets a new one. A property that only some have is null for the others.
# - With the option RFC7946, nuclei beyond 180 pixels are written as rings without a corner (GDAL 3.11; 3.12.4 stops there with an error).
# What it means: trace along the edges of pixels, and write GeoJSON of pixels with a JSON library.
# Versions: numpy 2.2.6, opencv-python-headless 4.12.0.88, shapely 2.1.2, geopandas 1.1.1, pyogrio 0.12.1. Date: 2026-11-27.
# Source: QuPath's ROITypeAdapters and QuPathTypeAdapters (github.com/qupath/qupath), RFC 7946, gdal.org (GeoJSON driver), and this script.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet numpy==2.2.6 opencv-python-headless==4.12.0.88 shapely==2.1.2 geopandas==1.1.1 pyogrio==0.12.1
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import json
import warnings
from importlib.metadata import version

import cv2
import geopandas
import numpy as np
import pyogrio
import shapely

for package in ("numpy", "opencv-python-headless", "shapely", "geopandas", "pyogrio"):
    print(package, version(package))
print("GDAL", ".".join(map(str, pyogrio.__gdal_version__)))


def contour(mask):
    [points], _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = points[:, 0].tolist()
    return shapely.Polygon(points) if len(points) > 2 else shapely.Polygon()


square, pixel, tailed = np.zeros((3, 9, 9), bool)
square[1:4, 1:4] = pixel[1, 1] = tailed[1:4, 1:4] = tailed[2, 4:8] = True
for name, mask, area in (("3 x 3", square, 4), ("one pixel", pixel, 0), ("3 x 3 with a tail of 4", tailed, 5)):
    found = contour(mask)
    print(f"{name}: {mask.sum()} pixels, OpenCV's contour has {found.area:g}, valid: {found.is_valid}")
    assert found.area == area

broken = contour(tailed)
assert not broken.is_valid
mended = shapely.make_valid(broken)
kept = shapely.make_valid(broken, method="structure", keep_collapsed=False)
print("make_valid gives a", mended.geom_type, "and by structure a", kept.geom_type, "of", kept.area)
assert (mended.geom_type, kept.geom_type) == ("GeometryCollection", "Polygon")


def feature(number, left, properties):
    ring = [[left, 10], [left + 3, 10], [left + 3, 13], [left, 13], [left, 10]]
    return {
        "type": "Feature",
        "id": f"0000000{number}-0000-4000-8000-000000000000",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "detection", "classification": {"name": "Epithelial", "color": [204, 121, 167]}} | properties,
    }


features = [feature(1, 20, {"measurements": {"Area": 9.0}}), feature(2, 20_000, {})]
with open("nuclei.geojson", "w") as file:
    json.dump({"type": "FeatureCollection", "features": features}, file)
frame = geopandas.read_file("nuclei.geojson")
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    frame.geometry.area
print("geopandas reads a picture in", frame.crs, "and warns of areas:", bool(told))
assert frame.crs == "EPSG:4326"
assert told

frame.to_file("again.geojson")
with open("again.geojson") as file:
    again = json.load(file)
first, second = again["features"]
print("written again: crs", again.get("crs", {}).get("properties"), "| id of the feature:", first.get("id"))
print("properties of the second:", second["properties"])
assert "CRS84" in again["crs"]["properties"]["name"]
assert "id" not in first and first["properties"]["id"] == features[0]["id"]
assert second["properties"]["measurements"] is None

try:
    frame.to_file("rfc.geojson", RFC7946=True)
    with open("rfc.geojson") as file:
        written = [item["geometry"] for item in json.load(file)["features"]]
    print("with RFC7946:", [geometry and geometry["coordinates"] for geometry in written])
    outcome = "written" if any(written[-1]["coordinates"]) else "empty"
except Exception as error:
    print("with RFC7946:", type(error).__name__, error)
    outcome = "refused"
assert outcome != "written"
PYTHON
