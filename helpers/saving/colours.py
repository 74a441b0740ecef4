"""One colour for each kind of nucleus everywhere: in figures, overlays, maps and QuPath."""

from helpers.config import CLASS_NAMES

# Okabe and Ito's palette (2008), which colour-blind readers can tell apart; one colour a class, everywhere.
CLASS_COLOURS = dict(zip(CLASS_NAMES, ("#D55E00", "#009E73", "#0072B2", "#F0E442", "#CC79A7"), strict=True))
# Kinds that other sets know beside, and nuclei whose kind is not told.
KIND_COLOURS = CLASS_COLOURS | {"Other": "#999999", "": "#56B4E9"}
UNTOLD = "Nucleus"  # what a nucleus is called where the network tells no kinds


def kind_colour(kind: str) -> tuple[int, int, int]:
    """Give the colour of a kind as red, green and blue, 0 to 255; a name of somebody else's network has that of others.

    >>> kind_colour("Epithelial"), kind_colour("Mitosis") == kind_colour("Other")
    ((204, 121, 167), True)
    """
    red, green, blue = bytes.fromhex(KIND_COLOURS.get(kind, KIND_COLOURS["Other"])[1:])
    return red, green, blue
