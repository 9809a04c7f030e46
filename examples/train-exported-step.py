# Trains with an exported step: ONNX Runtime, NumPy and safetensors, and nothing of Lowland but its three files.
#   lowland export-step model.onnx --batch-size 64 -o step.onnx
#   python examples/train-exported-step.py step.json data.safetensors 200 trained.safetensors
# data.safetensors holds the model's input under its name and `target`; examples/exported-step.mjs makes one.
import json
import math
import os
import sys

import numpy as np
import onnxruntime
from safetensors.numpy import load_file, save_file

path, data_file, steps, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
folder, spec = os.path.dirname(path), json.load(open(path))
[kind] = spec["steps"]  # an optimizer with several kinds of step has one entry each; "when" says which is made
session = onnxruntime.InferenceSession(os.path.join(folder, kind["file"]))
kept = load_file(os.path.join(folder, spec["initialValues"]))  # parameters, optimizer state, running statistics
data, size, peak = load_file(data_file), spec["batchSize"], 0.05
count = len(data["target"]) // size * size

for step in range(steps):
    start = step * size % count
    share = 0.5 * (1 + math.cos(math.pi * step / steps))  # the learning rate falls by cosine, and rho_min with it
    scalars = {"learning_rate": peak * share, "rho": 0.05, "rho_max": 0.05, "rho_min": 0.05 * share}
    feeds = {}
    for entry in kind["inputs"]:
        name = entry["name"]
        if "initial" in entry:
            feeds[name] = kept[name]
        elif entry["role"] == "scalar":
            feeds[name] = np.array(scalars[name], np.float32)
        else:
            feeds[name] = data[name][start : start + size]
    results = dict(zip((entry["name"] for entry in kind["outputs"]), session.run(None, feeds)))
    kept.update({entry["input"]: results[entry["name"]] for entry in kind["outputs"] if entry["role"] == "next"})
    print(step, *(f"{results[name]:.6f}" for name in ("loss", "grad_norm")), sep="\t")
save_file(kept, out)
