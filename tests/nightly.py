"""How much the long tests do: a sample in `make test`, all of it where NUCLEI_NIGHTLY is 1."""

import os

NIGHTLY = os.environ.get("NUCLEI_NIGHTLY") == "1"
KILLS = 20 if NIGHTLY else 1
EXAMPLES = 2_000 if NIGHTLY else 100
