"""Getting PanNuke: three zips from its own page or from this disk, verified, laid out and, if asked for, made small.

Gamper et al. 2019, doi:10.1007/978-3-030-23937-4_2, and 2020, arXiv:2003.10778.
"""

import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from helpers.data.arrays import ArrayFile, growing
from helpers.data.fold import FOLD_NAME, Fold, find_folds, official_numbers
from helpers.datasets.fetch import fetch
from helpers.errors import InputError, in_a_line
from helpers.files import check_free_disk, file_digest, locked, written_whole
from helpers.paths import as_path

ADDRESS = "https://warwick.ac.uk/fac/cross_fac/tia/data/pannuke/fold_{number}.zip"
SHA256 = {
    1: "6e19ad380300e8ce9480f9ab6a14cc91fa4b6a511609b40e3d70bdf9c881ed0b",
    2: "5bc540cc509f64b5f5a274d6e5a245527dbd3e6d3155d43555115c5d54709b07",
    3: "c14d372981c42f611ebc80afad01702b89cad8c1b3089daa31931cf5a4b1a39d",
}
LICENCE = """PanNuke is licensed under CC BY-NC-SA 4.0 (https://creativecommons.org/licenses/by-nc-sa/4.0/): name the
source, no commercial use, share what you derive under the same terms, trained weights included."""
ACCEPTED = "LICENCE-ACCEPTED.txt"
CHUNK = 16  # tiles rewritten at once
COMPACT = {"images": np.dtype(np.uint8), "masks": np.dtype(np.uint16)}  # ids reach about 3,500


def download_pannuke(
    folder: Path,
    numbers: Sequence[int] = (1, 2, 3),
    source: Path | None = None,
    accept_licence: bool = False,
    compact: bool = False,
    progress: bool = True,
) -> Path:
    """Bring folds of PanNuke into a folder, each whole or not at all; those that stand there are left alone.

        folder/Fold 1/images/fold1/images.npy, types.npy
        folder/Fold 1/masks/fold1/masks.npy

    Args:
        folder: where to.
        numbers: which folds.
        source: a zip of PanNuke, or a folder of such zips or of unpacked folds, to take instead; None to download.
        accept_licence: CC BY-NC-SA 4.0 has been read and accepted; else a terminal is asked, once for a folder.
        compact: keep the numbers as uint8 and uint16, 2.6 GB a fold, and remove the 12.5 GB of float64.
        progress: show bars on standard error.

    Returns:
        `folder`.

    Raises:
        InputError: the licence is not accepted, a download fails, a file is not PanNuke's, or the disk is too small.
    """
    folder, source = as_path(folder), None if source is None else as_path(source)
    _accept_licence(folder, accept_licence)
    with locked(folder):
        targets = {number: folder / f"Fold {number}" for number in numbers}
        for number in [number for number, target in targets.items() if target.exists()]:
            print(f"{targets.pop(number)}: stands already")
        found = _digest_archives(source) if source and targets else {}
        for number, target in targets.items():
            with _unpacked(folder, number, source, found, progress, alone=len(numbers) == 1) as (fold, own):
                _lay_out(fold, target, number, compact, move=own)
            print(f"{target}: {len(fold)} tiles")
    return folder


def _accept_licence(folder: Path, accepted: bool) -> None:
    note = folder / ACCEPTED
    if note.exists():
        return
    print(LICENCE)
    if not accepted and not sys.stdin.isatty():
        raise InputError(f"{folder}: expected that PanNuke's licence is accepted; read it and add --accept-licence")
    if not accepted and input("Type yes to accept: ").strip().lower() != "yes":
        raise InputError(f"{folder}: the licence was not accepted, so nothing was downloaded")
    with written_whole(note) as temporary:
        temporary.write_text(f"{LICENCE}\nAccepted on {datetime.now(UTC).date().isoformat()}.\n", encoding="utf-8")


@contextmanager
def _unpacked(
    folder: Path, number: int, source: Path | None, found: dict[str, Path], progress: bool, alone: bool
) -> Iterator[tuple[Fold, bool]]:
    """Give a fold on disk, and whether it is a copy that may be used up; copies are gone afterwards."""
    if source and not found:
        fold = _find_unpacked(source, number, alone)
        place = fold.images.path.parent
        if place.resolve().is_relative_to(folder.resolve()):  # a second copy would put tiles on both sides of a split
            raise InputError(
                f"{place}: found fold {number} within {folder}, expected it elsewhere; it is read there as it stands: "
                "leave it so, or give another folder for the copy"
            )
        yield fold, False
        return
    own = folder / ".download" / f"fold_{number}.zip"
    if source:
        archive = _find_archive(source, number, found)
    else:
        archive = fetch(ADDRESS.format(number=number), own, SHA256[number], progress)
    temporary = folder / f".unpacking-{number}"
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed: the folder is locked
    try:
        print(f"{archive}: unpacking")
        _unpack(archive, temporary)
        folds = find_folds(temporary)
        if len(folds) != 1:
            raise InputError(f"{archive}: expected one fold, found {len(folds)}; unpack it and give the folder")
        yield folds[0], True
        own.unlink(missing_ok=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip, whose digest is PanNuke's, into a new folder; what a failure leaves there the caller removes."""
    try:
        with zipfile.ZipFile(archive) as zipped:
            check_free_disk(folder, sum(member.file_size for member in zipped.infolist()))
            zipped.extractall(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(
            f"{archive}: expected a whole zip, it cannot be unpacked: {in_a_line(error)}; fetch it again"
        ) from None
    except OSError as error:
        raise InputError(f"{folder}: found no way to write it ({error.strerror or error}); make room for it") from None


def _digest_archives(source: Path) -> dict[str, Path]:
    """Give the zips of a source by their SHA-256: itself, or those in it."""
    if not source.exists():
        raise InputError(f"{source}: expected a zip or a folder of PanNuke, found nothing; download it first")
    archives = sorted(source.glob("*.zip")) if source.is_dir() else [source]
    return {file_digest(archive): archive for archive in archives}


def _find_archive(source: Path, number: int, found: dict[str, Path]) -> Path:
    """Find the verified zip of a fold among those of a source."""
    if SHA256[number] not in found:
        named = ", ".join(f"{archive.name} {digest[:8]}..." for digest, archive in found.items())
        raise InputError(
            f"{source}: expected PanNuke's fold {number} with SHA-256 {SHA256[number]}, found {named}; download it "
            "again, or ask for the folds that are there"
        )
    return found[SHA256[number]]


def _find_unpacked(source: Path, number: int, alone: bool) -> Fold:
    """Find a fold by its number; a single one that tells none is the one that `alone` is asked for."""
    folds = find_folds(source)
    matches = [FOLD_NAME.search(fold.name) for fold in folds]
    numbers = official_numbers(folds) or [int(match.group(1)) if match else 0 for match in matches]
    if numbers == [0] and alone:
        return folds[0]
    if number not in numbers:
        names = ", ".join(fold.name for fold in folds)
        remedy = "say with --fold which one it is" if numbers == [0] else "ask for the folds that are there"
        raise InputError(f"{source}: expected fold {number} of PanNuke, found {names}; {remedy}")
    return folds[numbers.index(number)]


def _lay_out(fold: Fold, target: Path, number: int, compact: bool, move: bool) -> None:
    """Bring a fold into PanNuke's own layout, under its place when it is whole."""
    temporary = target.with_name(f".{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    arrays = {"images": fold.images, "masks": fold.masks}
    try:
        if compact or not move:
            sizes = {kind: (COMPACT[kind] if compact else array.dtype).itemsize for kind, array in arrays.items()}
            check_free_disk(target, sum(int(np.prod(array.shape)) * sizes[kind] for kind, array in arrays.items()))
        for kind, array in arrays.items():
            place = temporary / kind / f"fold{number}"
            place.mkdir(parents=True)
            if compact and array.dtype.itemsize > COMPACT[kind].itemsize:
                rewrite(array, place / f"{kind}.npy", COMPACT[kind])
            else:
                (shutil.move if move else shutil.copyfile)(array.path, place / f"{kind}.npy")
        for path in fold.files[2:]:
            shutil.copyfile(path, temporary / "images" / f"fold{number}" / path.name.lower())
        temporary.rename(target)
    except OSError as error:
        raise InputError(f"{target}: found no way to write it ({error.strerror or error}); make room for it") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def rewrite(array: ArrayFile, path: Path, dtype: np.dtype) -> None:
    """Write the same numbers in another dtype, a few tiles at a time.

    Raises:
        InputError: a number that the dtype does not hold, so that nothing is rounded in silence.
    """
    with written_whole(path) as temporary, growing(temporary, array.shape, dtype) as file:
        for start in range(0, len(array), CHUNK):
            values = array.read(start, min(start + CHUNK, len(array)))
            with np.errstate(invalid="ignore"):  # not a number has no whole one, and is found below
                rewritten = values.astype(dtype)
            if (wrong := rewritten != values).any():
                raise InputError(
                    f"{array.path}: expected whole numbers up to {np.iinfo(dtype).max}, found {values[wrong][0]} in "
                    f"the tiles from {start} on; leave out --compact to keep them as they are"
                )
            file.write(rewritten.tobytes())
