#!/usr/bin/env bash
# ONNX Runtime runs networks on one's own processor. One would guess that it keeps to that, and asks before it tells others.
# Found: since 1.29 the wheels for Linux, too, report to their maker by default. The first session of a process leaves an identity in the
# user's cache folder, and disable_telemetry_events() after the import comes too late to prevent it.
# ORT_DISABLE_TELEMETRY=1 before the import leaves nothing there.
# What it means: who predicts pictures of patients sets that variable before onnxruntime is imported.
# Versions: onnxruntime 1.32.0, onnx 1.23.2. Date: 2026-11-28.
# Source: Privacy.md inside the wheel; github.com/microsoft/onnxruntime/pull/27379.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet onnxruntime==1.32.0 onnx==1.23.2
"$work/env/bin/python" -c "import onnx, onnxruntime as o; print('onnxruntime', o.__version__, 'onnx', onnx.__version__)"

cat > "$work/session.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

if "late" in sys.argv:
    onnxruntime.disable_telemetry_events()
values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "y")]
graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "abs", values[:1], values[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
assert session.run(None, {"x": np.array([-1, 2], np.float32)})[0].tolist() == [1, 2]
PYTHON

seen=""
for way in plain late variable; do
    mkdir "$work/$way"
    variable=()
    [[ $way == variable ]] && variable=(ORT_DISABLE_TELEMETRY=1)
    env -u CI -u ORT_DISABLE_TELEMETRY -u XDG_CACHE_HOME HOME="$work/$way" "${variable[@]}" \
        "$work/env/bin/python" "$work/session.py" "$way" 2> /dev/null
    files=$(cd "$work/$way" && find . -type f | grep -ci "microsoft.*onnxruntime" || true)
    echo "$way: $files file(s) of onnxruntime in the user's cache folder"
    seen+="$((files > 0)) "
done
[[ $seen == "1 1 0 " ]] || { echo "this has changed: expected 1 1 0, found $seen" >&2; exit 1; }
