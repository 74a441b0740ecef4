"""What stands in the built page, and what is said where it cannot be built."""

import json

import pytest

from helpers.errors import InputError
from helpers.pictures.plain_image import open_plain
from page import build


def test_the_listing_holds_every_file_but_the_worker_that_reads_it(built):
    listing = json.loads((built / "files.json").read_text(encoding="utf-8"))
    there = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    assert set(listing["files"]) == there - {"files.json", "service-worker.js"}


def test_the_version_changes_with_any_file(tmp_path):
    (tmp_path / "a.js").write_text("1", encoding="utf-8")
    versions = []
    for text in ("1", "2", "1"):
        (tmp_path / "a.js").write_text(text, encoding="utf-8")
        for name in ("files.json", "service-worker.js"):
            (tmp_path / name).unlink(missing_ok=True)
        build.list_files(tmp_path)
        versions.append(json.loads((tmp_path / "files.json").read_text(encoding="utf-8"))["version"])
    assert versions[0] == versions[2] != versions[1]


def test_the_service_worker_changes_with_the_version(built):
    version = json.loads((built / "files.json").read_text(encoding="utf-8"))["version"]
    assert (built / "service-worker.js").read_text(encoding="utf-8").endswith(f"// {version}\n")


def test_samples_tell_their_scale(built, model):
    for sample in model["samples"]:
        assert open_plain(built / sample["file"]).um_per_px == pytest.approx(0.25)
        assert (built / sample["small"]).stat().st_size < 20_000


def test_what_is_no_page_is_not_deleted(built, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(InputError, match="expected no such folder, or one with an earlier page"):
        build.build_page(tmp_path, None)
    assert (tmp_path / "thesis.txt").is_file()


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "PACKAGES", tmp_path)
    with pytest.raises(InputError, match="npm ci"):
        build.build_page(tmp_path / "out", None)
    assert not (tmp_path / "out").exists()
