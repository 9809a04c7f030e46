"""The same training step in PyTorch, SGD only: python3 benchmarks/step_torch.py cnn [batch] [threads] [steps]

Prints one JSON line. `channels_last` is PyTorch's faster memory format for convolutions on a CPU.
"""
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.stride = 1 if inputs == outputs else 2
        self.added = outputs - inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.added:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        return F.relu(y + x)


def cnn():
    widths, strides = [1, 16, 32, 32, 64, 64], [1, 2, 1, 2, 1]
    layers = []
    for inputs, outputs, stride in zip(widths, widths[1:], strides):
        layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )


def resnet20():
    pairs = [(16, 16)] * 3 + [(16, 32)] + [(32, 32)] * 2 + [(32, 64)] + [(64, 64)] * 2
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        *[Block(*pair) for pair in pairs], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )


name = sys.argv[1] if len(sys.argv) > 1 else "cnn"
batch, threads, steps = [int(value) for value in sys.argv[2:5]] + [128, 2, 20][len(sys.argv[2:5]):]
torch.set_num_threads(threads)
shape = (3, 32, 32) if name == "resnet20" else (1, 28, 28)
x = torch.rand(batch, *shape) * 2 - 1
target = torch.arange(batch) % 10


def prepare(memory_format):
    model = {"cnn": cnn, "lenet5": lenet5, "resnet20": resnet20}[name]().to(memory_format=memory_format)
    data = x.contiguous(memory_format=memory_format)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-3)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(data), target, label_smoothing=0.1).backward()
        optimizer.step()

    return step


formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
variants = {key: (prepare(value), []) for key, value in formats.items()}
for index in range(-3, steps):
    for step, times in variants.values():
        start = time.perf_counter()
        step()
        if index >= 0:
            times.append((time.perf_counter() - start) * 1000)
for key, (_, times) in variants.items():
    print(json.dumps({
        "model": name, "method": "sgd", "batch": batch, "threads": threads, "torch": torch.__version__,
        "memoryFormat": key, "median": round(sorted(times)[len(times) // 2], 1), "fastest": round(min(times), 1),
    }))
