#!/usr/bin/env bash
# A picture in a notebook output has an alternative text in its metadata: one would guess that the HTML page shows it.
# Found: nbconvert's default template, lab, passes over `alt`, whether it stands in the output's metadata or in the cell's,
# writes "No description has been provided for this image" in its place, and warns; the older template, classic, writes it.
# What it means: a report is not made readable for the blind by metadata alone. Put the picture into the page as HTML.
# Versions: nbconvert 7.17.0, nbformat 5.10.4. Date: 2026-11-27.
# Source: nbconvert's templates lab/base.html.j2 and classic/base.html.j2, and this script.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet nbconvert==7.17.0 nbformat==5.10.4 ipykernel==7.1.0
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

import nbformat.v4 as v4
from nbconvert import HTMLExporter

for package in ("nbconvert", "nbformat"):
    print(package, version(package))
found = {}
for place in ("output", "cell"):
    metadata = {"image/jpeg": {"alt": "two curves"}} if place == "output" else {}
    output = v4.new_output("display_data", {"image/jpeg": "AAAA"}, metadata=metadata)
    cell = v4.new_code_cell("plot()", outputs=[output], metadata={"alt": "two curves"} if place == "cell" else {})
    for template in ("lab", "classic"):
        page, _ = HTMLExporter(template_name=template).from_notebook_node(v4.new_notebook(cells=[cell]))
        found[place, template] = 'alt="two curves"' in page
        told = "written" if found[place, template] else "replaced by " + "No description" * ("No description" in page)
        print(f"alt in the {place}'s metadata, template {template}: {told}")
expected = {(place, template): template == "classic" for place in ("output", "cell") for template in ("lab", "classic")}
assert found == expected, f"the behaviour has changed: {found}"
PYTHON
