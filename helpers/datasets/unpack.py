"""A zip from somewhere else, unpacked whole or not at all, and nowhere but where it should."""

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from helpers.errors import InputError, in_a_line
from helpers.files import check_free_disk

ENCRYPTED = 1  # bit of a member's flags
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError)


def unpack(archive: Path, folder: Path, most: float) -> Path:
    """Unpack a zip into a new folder.

    Args:
        archive: the zip.
        folder: to be made; it must not exist.
        most: bytes that may come out of it.

    Returns:
        `folder`.

    Raises:
        InputError: no whole zip, a member that would land outside of the folder, more than `most` bytes, or too small
            a disk. Nothing is left then.
    """
    if folder.exists():
        raise InputError(f"{folder}: expected a place for a new folder, found something there; delete or move it")
    try:
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.infolist():
                _check_member(archive, member)
            size = sum(member.file_size for member in zipped.infolist())
            if size > most:
                raise InputError(
                    f"{archive}: expected at most {most / 1e9:.1f} GB unpacked, found {size / 1e9:.1f} GB; fetch it "
                    "again"
                )
            check_free_disk(folder, size)
            try:
                folder.mkdir(parents=True)
                zipped.extractall(folder)  # reads no more of a member than the size that it declares
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return folder
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(
            f"{archive}: expected a whole zip, it cannot be unpacked: {in_a_line(error)}; fetch it again"
        ) from None
    except OSError as error:
        raise InputError(
            f"{archive}: found no way to unpack it into {folder} ({error.strerror or error}); make room, or choose "
            "another folder"
        ) from None


def _check_member(archive: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name:
        raise InputError(f"{archive}: found {name!r}, which leaves the folder; fetch it from its own page")
    if stat.S_ISLNK(member.external_attr >> 16) or member.flag_bits & ENCRYPTED:
        raise InputError(f"{archive}: expected plain files, found a link or a locked one, {name!r}; fetch it again")
