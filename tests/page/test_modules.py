"""The page's modules beside Python's: the same numbers from the same input."""

import base64
import functools
import io
import json
import re
import warnings

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.special import softmax

from helpers.errors import InputError
from helpers.inference import blocks, segmentation, tiles
from helpers.inference.instances import list_nuclei, part_nuclei
from helpers.inference.trained_model import TrainedModel
from helpers.pictures import checks
from helpers.pictures.checks import warn_about_picture
from helpers.pictures.outside import fill_outside, find_outside
from helpers.pictures.picture import ArrayPicture, compose
from helpers.pictures.plain_image import open_plain
from helpers.pictures.reading import open_picture
from helpers.pictures.survey import survey
from helpers.preprocessing import check_scale
from helpers.sample_tissue.sample import sample_field
from helpers.saving.geojson import write_geojson
from helpers.saving.label_image import write_label_image
from helpers.saving.nuclei_table import write_nuclei
from helpers.saving.overlay import Overlay

SEEDS = range(4)


def decode(text: str, dtype: type, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape or -1)


def make_maps(seed: int, height: int = 150, width: int = 190) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a mask `(H, W)`, logits of interior `(H, W)` and of four kinds `(4, H, W)`, with plateaus and holes."""
    random = np.random.default_rng(seed)

    def field(sigma: float) -> np.ndarray:
        smooth = cv2.GaussianBlur(random.normal(size=(height, width)).astype(np.float32), (0, 0), sigma)
        return smooth / smooth.std()

    interior = (3 * field(3)).astype(np.float32)
    if seed % 2:
        interior = np.round(2 * interior) / 2  # so that many pixels have the same height
    return field(4) > -0.2, interior, np.stack([field(5) for _ in range(4)])


def to_rgba(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2RGBA) if image.shape[2] == 3 else image


@pytest.fixture(scope="module")
def parted(script, model):
    """Python's nuclei of `make_maps(seed)` at a scale, and the page's."""

    def part(seed: int, um_per_px: float):
        mask, interior, kinds = make_maps(seed)
        height, width = mask.shape
        labels = part_nuclei(mask, interior, um_per_px)
        shares = np.round(softmax(kinds, axis=0) * 65535).astype(np.uint16)
        probability = np.ones(mask.shape, np.float32)
        nuclei = list_nuclei(labels, probability, np.log(shares / 65535 + 1e-12), model["kinds"], um_per_px)
        found = script(
            """const { partNuclei, listNuclei } = await load("instances");
            const { mask, interior, shares, height, width, umPerPx } = args, size = height * width;
            const { labels, count } = partNuclei(mask, interior, height, width, umPerPx, model);
            const of = model.kinds.map((_, kind) => shares.subarray(kind * size, (kind + 1) * size));
            return { labels: encode(labels), nuclei: listNuclei(labels, count, width, of, model.kinds, umPerPx) };""",
            mask=mask.astype(np.uint8), interior=interior, shares=shares, height=height, width=width, umPerPx=um_per_px,
        )  # fmt: skip
        return labels, nuclei, decode(found["labels"], np.int32, height, width), found["nuclei"]

    return part


@pytest.mark.parametrize("um_per_px", [0.25, 0.5])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_maps_give_identical_labels_and_table(parted, seed, um_per_px):
    labels, nuclei, labels_there, nuclei_there = parted(seed, um_per_px)
    assert labels.max() > 10
    np.testing.assert_array_equal(labels_there, labels)
    for name in nuclei.dtype.names:
        there = [nucleus[name] for nucleus in nuclei_there]
        if nuclei[name].dtype.kind == "U":
            assert there == nuclei[name].tolist()
        else:
            np.testing.assert_allclose(there, nuclei[name], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("seed", SEEDS)
def test_files_are_those_that_python_writes(script, parted, model, tmp_path, seed):
    labels, nuclei, *_ = parted(seed, 0.25)
    rows = [dict(zip(nuclei.dtype.names, row, strict=True)) for row in nuclei.tolist()]
    height, width = labels.shape
    with write_geojson(tmp_path / "a.geojson", f"slide.png {height} x {width}") as file:
        file.add(labels, nuclei)
    with write_nuclei(tmp_path / "a.csv") as file:
        file.add(nuclei)
    found = script(
        """const { writeCsv, writeGeoJson } = await load("files"), { writePng } = await load("label_image");
        const { labels, nuclei, height, width } = args;
        const png = new Uint8Array(await (await writePng(labels, height, width)).arrayBuffer());
        const picture = { name: "slide.png", height, width };
        const text = await writeGeoJson(labels, nuclei, picture, model.colours);
        return { geojson: text, csv: writeCsv(nuclei), png: encode(png) };""",
        labels=labels, nuclei=rows, height=height, width=width,
    )  # fmt: skip
    geojson = (tmp_path / "a.geojson").read_text(encoding="ascii")
    assert json.loads(found["geojson"]) == json.loads(geojson)
    assert found["geojson"].isascii()
    assert len(found["geojson"].splitlines()) == len(geojson.splitlines())
    assert found["csv"] == (tmp_path / "a.csv").read_text(encoding="utf-8")
    png = base64.b64decode(found["png"])
    for read in (np.array(Image.open(io.BytesIO(png))), cv2.imdecode(np.frombuffer(png, np.uint8), -1)):
        np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize("size", [(1, 1), (150, 190), (1030, 70)])
def test_the_label_image_is_pythons(script, tmp_path, size):
    labels = np.random.default_rng(0).integers(0, 100_000, size, np.int32)
    write_label_image(
        tmp_path / "a.tif", lambda top, left, height, width: labels[top : top + height, left : left + width], *size, 0.3
    )
    found = script(
        """const { writeLabels } = await load("label_image"), { labels, height, width } = args;
        return encode(new Uint8Array(await (await writeLabels(labels, height, width, 0.3)).arrayBuffer()));""",
        labels=labels, height=size[0], width=size[1],
    )  # fmt: skip
    (tmp_path / "b.tif").write_bytes(base64.b64decode(found))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), labels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file, tifffile.TiffFile(tmp_path / "b.tif") as other:
        (page,), (there,) = file.pages, other.pages
        for name in ("dtype", "shape", "photometric", "compression", "resolutionunit", "description"):
            assert getattr(there, name) == getattr(page, name), name
        assert there.get_resolution("micrometer") == pytest.approx(page.get_resolution("micrometer"))


def test_the_overlay_is_pythons(script, parted, model):
    labels, nuclei, *_ = parted(0, 0.25)
    overlay = Overlay(ArrayPicture(np.zeros((*labels.shape, 3), np.uint8)))
    overlay.add(labels, nuclei)
    found = script(
        """const { drawOverlay } = await load("overlay");
        return encode(drawOverlay(args.labels, args.nuclei, args.height, args.width, model.colours).data);""",
        labels=labels, height=labels.shape[0], width=labels.shape[1],
        nuclei=[{"kind": kind} for kind in nuclei["kind"].tolist()],
    )  # fmt: skip
    there = decode(found, np.uint8, *labels.shape, 4)
    np.testing.assert_array_equal(there[..., :3], overlay.image)
    np.testing.assert_array_equal(there[..., 3] > 0, overlay.image.any(-1))


def test_tiles_lie_where_pythons_do(script):
    sizes = [(1, 1), (256, 256), (257, 256), (600, 300), (2048, 1000), (449, 448)]
    found = script(
        """const { tilePlaces, tileWindow } = await load("tiles");
        return { places: args.sizes.map(([height, width]) => tilePlaces(height, width, model)),
          window: encode(tileWindow(256)) };""",
        sizes=sizes,
    )
    for (height, width), there in zip(sizes, found["places"], strict=True):
        expected = tiles.tile_places(max(height, 256), max(width, 256), 256)
        assert there == [[rows.start, columns.start] for rows, columns in expected]
    np.testing.assert_array_equal(decode(found["window"], np.float32, 256, 256), tiles.tile_window(256, 256))


def test_blocks_are_pythons(script):
    cases = [(512, 512, 1), (2048, 2049, 1), (4000, 4000, 1), (3000, 1500, 2), (5000, 300, 0.7)]
    found = script(
        """const { cutBlocks } = await load("blocks");
        return args.cases.map(([height, width, zoom]) => cutBlocks(height, width, zoom, model));""",
        cases=cases,
    )
    for case, there in zip(cases, found, strict=True):
        expected = [{"core": list(block.core), "seen": list(block.seen)} for block in blocks.cut_blocks(*case)]
        assert there == expected


def assert_the_same(found: dict, expected: segmentation.Segmentation) -> None:
    """Compare labels, numbers and table: identical, but for the last digits of means."""
    np.testing.assert_array_equal(decode(found["labels"], np.int32, *expected.instances.shape), expected.instances)
    for name in expected.nuclei.dtype.names:
        there = [nucleus[name] for nucleus in found["nuclei"]]
        if expected.nuclei[name].dtype.kind == "f":
            np.testing.assert_allclose(there, expected.nuclei[name], rtol=1e-5, atol=1e-5, err_msg=name)
        else:
            assert there == expected.nuclei[name].tolist(), name


@pytest.mark.parametrize(("seed", "um_per_px"), [(0, 0.25), (1, 0.25), (2, 0.5)])
def test_seams_are_settled_as_in_python(script, model, monkeypatch, seed, um_per_px):
    monkeypatch.setattr(blocks, "SIDE", 128)
    monkeypatch.setattr(blocks, "REACH", 24)
    height, width, parts = 150, 230, []
    mask, interior, kinds = make_maps(seed, height, width)
    random = np.random.default_rng(seed)
    shares = np.round(softmax(kinds, axis=0) * 65535).astype(np.uint16)

    def predict(_, picture, block):  # what a block sees, a little different in each
        own = block.seen.within(blocks.Box(0, 0, height, width))
        noise = cv2.GaussianBlur(random.normal(size=block.seen.shape).astype(np.float32), (0, 0), 4)
        nuclei = np.where(mask[own], 2, -2).astype(np.float32) + 12 * noise
        parts.append((block, nuclei, interior[own] + 4 * noise, np.ascontiguousarray(shares[:, *own])))
        maps = {"nuclei": nuclei[None], "interior": parts[-1][2][None], "kinds": np.log(parts[-1][3] / 65535 + 1e-12)}
        return {name: values.copy() for name, values in maps.items()}, np.zeros(block.seen.shape, bool)

    class Kinds:
        img_size, kinds = 256, tuple(model["kinds"])

    monkeypatch.setattr(segmentation.Search, "predict", predict)
    monkeypatch.setattr(segmentation.Engine, "work_through", lambda self, work, items: map(work, items))
    # Its own scale, so that the maps are the picture's size.
    expected = segmentation.segment(
        TrainedModel(Kinds(), um_per_px), np.full((height, width, 3), 200, np.uint8), um_per_px
    )
    assert len(parts) == 6
    names = ("nuclei", "interior", "kinds")
    arrays = {f"{name}{at}": part[1 + of] for at, part in enumerate(parts) for of, name in enumerate(names)}
    found = script(
        """const { findNuclei } = await load("segmentation");
        const blocks = args.places.map(({ core, seen }, at) => {
          const nuclei = args[`nuclei${at}`], size = nuclei.length, shares = args[`kinds${at}`];
          const kinds = model.kinds.map((_, kind) => shares.subarray(kind * size, (kind + 1) * size));
          return { core, seen, nuclei, interior: args[`interior${at}`], kinds };
        });
        const { height, width, umPerPx } = args;
        const { labels, nuclei } = findNuclei({ height, width, blocks }, 0, umPerPx, model);
        return { labels: encode(labels), nuclei };""",
        height=height, width=width, umPerPx=um_per_px, **arrays,
        places=[{"core": list(part[0].core), "seen": list(part[0].seen)} for part in parts],
    )  # fmt: skip
    assert_the_same(found, expected)


class Colours:
    """A network that tells whole numbers of each pixel by its colour alone, so that blending is exact."""

    img_size = 128

    def __init__(self, kinds: list[str]) -> None:
        self.kinds = tuple(kinds)

    def run(self, tiles: np.ndarray) -> dict[str, np.ndarray]:
        red, green, blue = np.moveaxis(tiles, -1, 0).astype(np.float32)[:, :, None]
        kinds = np.concatenate([np.floor(channel / 32) for channel in (red, green, blue, 255 - red)], axis=1)
        return {"nuclei": np.floor((150 - red) / 8), "interior": np.floor((120 - red) / 8), "kinds": kinds}


def test_a_picture_of_several_blocks_is_segmented_as_in_python(script, model, monkeypatch):
    monkeypatch.setattr(blocks, "SIDE", 256)
    image = to_rgba(sample_field(1)[0][:270, :370]).copy()
    image[:, :20, :3] = 2  # beyond a slide's edge
    image[150:170, 100:260, :3] = 0  # black within the tissue, but at the border of a block
    image[200:, 330:] = 0
    network = Colours(model["kinds"])
    monkeypatch.setattr(TrainedModel, "run", lambda self, tiles, device: network.run(tiles))
    expected = segmentation.segment(TrainedModel(network, 0.25), image, 0.25)
    assert len(expected.nuclei) > 30
    white = compose(image)
    found = script(
        """const { predictPicture } = await load("predict"), { findNuclei } = await load("segmentation");
        const side = args.side, size = side * side, described = { ...model, img_size: side, block_side: 256 };
        const run = async (tile) => {
          const of = (channel, by) =>
            Float32Array.from({ length: size }, (_, i) => Math.floor(by(tile[3 * i + channel])));
          const kinds = new Float32Array(4 * size);
          [0, 1, 2].forEach((channel) => kinds.set(of(channel, (value) => value / 32), channel * size));
          kinds.set(of(0, (red) => (255 - red) / 32), 3 * size);
          return { nuclei: of(0, (red) => (150 - red) / 8), interior: of(0, (red) => (120 - red) / 8), kinds };
        };
        const picture = { rgba: args.rgba, height: 270, width: 370 };
        const { labels, nuclei } = findNuclei(await predictPicture(run, picture, 0.25, described), 0, 0.25, described);
        return { labels: encode(labels), nuclei };""",
        rgba=np.dstack([white, image[..., 3]]), side=network.img_size,
    )  # fmt: skip
    assert_the_same(found, expected)


@pytest.mark.parametrize("size", [(40, 31), (45, 62), (100, 75), (64, 64), (128, 10)])
def test_sizes_change_as_in_opencv(script, size):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (64, 50, 3), np.uint8)
    values = random.normal(size=(64, 50)).astype(np.float32)
    found = script(
        """const { resize } = await load("resize"), [height, width] = args.size;
        return { image: encode(resize(args.image, [64, 50, 3], height, width)),
          values: encode(resize(args.values, [64, 50, 1], height, width)) };""",
        image=image, values=values, size=size,
    )  # fmt: skip
    expected = tiles.resize(image, *size).astype(int)
    assert np.abs(decode(found["image"], np.uint8, *size, 3) - expected).max() <= 1
    np.testing.assert_allclose(decode(found["values"], np.float32, *size), tiles.resize(values, *size), atol=1e-5)


@functools.cache
def odd_pictures() -> dict[str, np.ndarray]:
    usual, rows = sample_field(1)[0][:300, :310], np.arange(300)[:, None, None]
    grey = np.repeat(usual.mean(-1, keepdims=True).astype(np.uint8), 3, axis=2)
    marked, edged, large = usual.copy(), to_rgba(usual).copy(), sample_field(0)[0]
    marked[40:140, 30:200] = (20, 60, 160)
    edged[:40, :, :3] = 3
    edged[:, 280:, 3] = 0
    sky = np.broadcast_to(np.where(rows < 150, (90, 140, 210), (80, 110, 50)) + rows % 7, usual.shape).astype(np.uint8)
    return {
        **{f"sample {slide}": sample_field(slide)[0] for slide in range(5)},
        **{f"swapped {slide}": sample_field(slide)[0][..., ::-1] for slide in range(5)},
        "grey": grey, "sky": sky, "dark": usual // 16, "glass": np.full_like(usual, 243), "ink": marked,
        "edged": edged, "edged and swapped": edged[..., [2, 1, 0, 3]], "tiny": usual[:40, :30, ::-1],
        "large": large, "large and swapped": large[..., ::-1], "flat and large": large[:200],
    }  # fmt: skip


@pytest.mark.parametrize("name", odd_pictures())
def test_what_is_odd_is_said_as_in_python(script, model, monkeypatch, name):
    if "large" in name:
        monkeypatch.setattr(checks, "WHOLE", 1000)
    image = odd_pictures()[name]
    picture = ArrayPicture(image, "it")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_about_picture(picture, survey(picture, 0.25), 0.25)
    said = [re.sub("^it: ", "", str(warning.message)) for warning in caught]
    there = script(
        """const { doubtPicture } = await load("checks"), { survey } = await load("tissue");
        const picture = { rgba: new Uint8ClampedArray(args.rgba.buffer), height: args.height, width: args.width };
        return doubtPicture(picture, survey(picture, 0.25, model), { ...model, checks: args.checks });""",
        rgba=np.dstack([compose(image), to_rgba(image)[..., 3]]), height=len(image), width=image.shape[1],
        checks=model["checks"] | {"whole": checks.WHOLE},
    )  # fmt: skip
    assert len(there) == len(said)
    for one, other in zip(there, said, strict=True):
        assert one[:30].lower() == other[:30].lower()
    assert (said == []) == (name.startswith("sample") or name in ("tiny", "large", "flat and large"))


@pytest.mark.parametrize(("slide", "um_per_px"), [(0, 0.25), (1, 0.5), (2, 0.25), (9, 0.3)])
def test_tissue_is_where_python_finds_it(script, slide, um_per_px):
    image = sample_field(slide)[0][:500, :470].copy()
    image[:200, :150] = 240
    image[300:340, 200:300] = (40, 40, 160)
    expected = survey(ArrayPicture(image), um_per_px)
    boxes = [(top, left, top + 40, left + 30) for top in range(0, 460, 40) for left in range(0, 440, 30)]
    found = script(
        """const { survey } = await load("tissue");
        const rgba = new Uint8ClampedArray(args.rgba.buffer);
        const { mm2, reaches } = survey({ rgba, height: 500, width: 470 }, args.umPerPx, model);
        return { mm2, reached: args.boxes.map((box) => reaches(...box)) };""",
        rgba=to_rgba(image), umPerPx=um_per_px, boxes=boxes,
    )  # fmt: skip
    assert found["mm2"] == pytest.approx(expected.mm2, rel=0.01)
    assert found["reached"] == [expected.reaches(*box) for box in boxes]
    assert 0 < sum(found["reached"]) < len(boxes)


def test_black_and_transparent_borders_are_no_tissue(script):
    image = to_rgba(sample_field(0)[0][:200, :180]).copy()
    image[:40, :, :3] = 3
    image[150:, 120:, 3] = 0
    image[100:110, 80:90, :3] = 0  # touches no border
    expected = find_outside(image)
    found = script(
        """const { findOutside, fillOutside } = await load("outside");
        const rgba = new Uint8ClampedArray(args.rgba.buffer), picture = { rgba, height: 200, width: 180 };
        const outside = findOutside(picture, model);
        fillOutside(rgba, outside, 200, 180);
        return { outside: encode(outside), rgba: encode(rgba) };""",
        rgba=image,
    )
    np.testing.assert_array_equal(decode(found["outside"], np.uint8, 200, 180) > 0, expected)
    filled, there = fill_outside(image)[0].astype(int), decode(found["rgba"], np.uint8, 200, 180, 4)[..., :3]
    assert (np.abs(filled - there)[~expected] == 0).all()
    assert np.abs(filled - there)[expected].mean() < 4  # OpenCV finds the nearest pixel nearly; so do two sweeps


def test_scales_are_checked_as_in_python(script):
    texts = ["0.25", "0.1", "1", "0.0999", "1.01", "", " ", "abc", "0,5", "nan", "-1", "1e-1", "Infinity"]
    accepted = []
    for text in texts:
        try:
            accepted.append(check_scale(text))
        except InputError:
            accepted.append(None)
    found = script(
        """const { checkScale, InputError } = await load("picture");
        return args.texts.map((text) => {
          try { return checkScale(text, model); }
          catch (error) { if (error instanceof InputError) return null; throw error; }
        });""",
        texts=texts,
    )
    assert found == accepted


@pytest.mark.parametrize("dpi", [None, (101600, 101600), (50800, 50800), (72, 72), (50000, 40000)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_scale_is_read_from_the_file(script, tmp_path, kind, dpi):
    path = tmp_path / f"a.{kind.lower()}"
    Image.new("RGB", (8, 8)).save(path, kind, **({"dpi": dpi} if dpi and (kind == "PNG" or max(dpi) < 65536) else {}))
    picture = open_plain(path)
    expected = picture.um_per_px if picture.um_per_px and picture.um_per_px > 0 else None
    head = np.frombuffer(path.read_bytes(), np.uint8)
    found = script("""return (await load("picture")).tellScale(args.head, model);""", head=head)
    assert found == (None if expected is None else pytest.approx(expected))


PIXELS = (
    '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="47" SizeY="61" SizeC="3" SizeZ="1" SizeT="1" {}>'
)
OME = f'<OME><Image ID="I:0">{PIXELS}<Channel ID="C:0" SamplesPerPixel="3"/><TiffData/></Pixels></Image></OME>'
TIFFS = {
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 32), "compression": "zlib", "predictor": True},
    "grey": {"compression": "zlib"},
    "apart": {"planarconfig": "separate", "byteorder": ">"},
    "inches": {"resolution": (101600, 101600), "resolutionunit": "INCH"},
    "LZW": {},
    "Aperio": {"description": "Aperio Image|AppMag = 20|MPP = 0.4990"},
    "no MPP": {"description": "Aperio Image|MPP = unknown|x = 1"},
    "OME": {"description": OME.format('PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.25"')},
    "OME in µm": {"description": OME.format("PhysicalSizeYUnit='µm' PhysicalSizeY='0.31'").encode()},
    "OME, oblong": {"description": OME.format('PhysicalSizeX="0.25" PhysicalSizeY="0.3"')},
    "OME without": {"description": OME.format("")},
    "ImageJ": {"description": "ImageJ=1.54f\nunit=micron\nmin=0.0\n", "resolution": (4, 4), "resolutionunit": "NONE"},
    "ImageJ in pixels": {"description": "ImageJ=1.54f\nunit=pixel\n", "resolution": (4, 4), "resolutionunit": "NONE"},
    "72 dpi": {"resolution": (72, 72), "resolutionunit": "INCH"},
    "no density": {"resolution": (0, 0), "resolutionunit": "INCH"},
    "16 bits": {}, "alpha": {}, "two": {}, "JPEG": {"compression": "jpeg"},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::helpers.errors.InputWarning")
@pytest.mark.parametrize("kind", TIFFS)
def test_plain_tiffs_are_read_as_in_python(script, tmp_path, kind):
    image, path = sample_field(0)[0][:61, :47], tmp_path / "a.tif"
    changed = {"grey": image[..., 1], "apart": np.moveaxis(image, -1, 0), "16 bits": image * np.uint16(257)}
    changed |= {"alpha": to_rgba(image), "two": np.stack([image, image])}
    if kind == "LZW":
        Image.fromarray(image).save(path, compression="tiff_lzw", resolution_unit=3, x_resolution=4e4, y_resolution=4e4)
    else:
        options = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER", "photometric": "rgb"} | TIFFS[kind]
        options["photometric"] = "minisblack" if kind == "grey" else "rgb"
        tifffile.imwrite(path, changed.get(kind, image), metadata=None, **options)
    found = script(
        """const { readPicture, InputError } = await load("picture");
        try {
          const { rgba, height, width, umPerPx } = await readPicture(new Blob([args.file]), "a.tif", model);
          return { rgba: encode(rgba), height, width, umPerPx };
        } catch (error) { if (error instanceof InputError) return error.message; throw error; }""",
        file=np.frombuffer(path.read_bytes(), np.uint8),
    )  # fmt: skip
    if kind in ("16 bits", "alpha", "two", "JPEG"):
        assert re.fullmatch(
            r'a\.tif: expected a TIFF of .+ run python -m helpers predict "a\.tif" --out found .+\.', found
        )
        return
    with open_picture(path) as picture:
        expected = picture.read(0, 0, picture.height, picture.width)
        expected_scale = picture.um_per_px
        assert found["umPerPx"] == (pytest.approx(expected_scale) if expected_scale and expected_scale > 0 else None)
    assert (found["height"], found["width"]) == expected.shape[:2]
    there = decode(found["rgba"], np.uint8, *expected.shape[:2], 4)
    np.testing.assert_array_equal(there[..., :3], expected)
    assert (there[..., 3] == 255).all()


def painted(kind: str) -> bytes:
    image, file = Image.fromarray(sample_field(0)[0][:60, :40]), io.BytesIO()
    options = {}
    if kind == "turned.jpg":
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6
        options["quality"] = 90
    elif kind == "palette.png":
        image = image.quantize(64)
    elif kind == "transparent.png":
        image.putalpha(Image.fromarray(np.tile(np.linspace(-30, 255, 40).clip(0).astype(np.uint8), (60, 1))))
    elif kind == "lossless.webp":
        options["lossless"] = True
    image.save(file, {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[kind.split(".")[1]], **options)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore::helpers.errors.InputWarning")
@pytest.mark.parametrize(
    ("kind", "apart"), [("turned.jpg", 4), ("palette.png", 0), ("transparent.png", 2), ("lossless.webp", 0)]
)
def test_pictures_are_decoded_as_in_python(script, tmp_path, kind, apart):
    content = painted(kind)
    (tmp_path / kind).write_bytes(content)
    picture = open_plain(tmp_path / kind)
    expected = compose(picture.read(0, 0, picture.height, picture.width))
    found = script(
        """const { readPicture } = await load("picture");
        const { rgba, height, width } = await readPicture(new Blob([args.file]), args.name, model);
        return { rgba: encode(rgba), height, width };""",
        file=np.frombuffer(content, np.uint8), name=kind,
    )  # fmt: skip
    there = decode(found["rgba"], np.uint8, *expected.shape[:2], 4)
    assert (found["height"], found["width"]) == expected.shape[:2]
    assert np.abs(there[..., :3].astype(int) - expected).max() <= apart
    transparent = np.array(Image.open(tmp_path / kind).convert("RGBA"))[..., 3] == 0 if "png" in kind else False
    np.testing.assert_array_equal(there[..., 3], np.where(transparent, 0, 255) | np.zeros(there.shape[:2], int))
