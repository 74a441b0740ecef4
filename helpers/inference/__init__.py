"""How do I use it? From pixels of any size to a mask, single nuclei and their files, with trained weights."""

import os

# From 1.29 on ONNX Runtime reports to its maker, unless this stands here before it is loaded: what is done with tissue
# is nobody else's business. Set it to 0 to have it report.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
