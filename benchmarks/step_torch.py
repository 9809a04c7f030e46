"""The same training step in PyTorch: python3 benchmarks/step_torch.py --model cnn --method bilateral-sam --channels-last

Prints one JSON line: the milliseconds of each step and the peak memory of the process. `--channels-last` is PyTorch's
faster memory format for convolutions on a CPU. With glibc told to keep its memory a step does not wait for fresh pages:

    MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456 python3 ...
"""
import argparse
import json
import resource
import time

import torch
from torch import nn
from torch.nn import functional as F


def conv(inputs, outputs, size, stride=1, padding=0):
    return nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: a projection where shapes differ, or zeros in place of missing channels."""

    def __init__(self, inputs, outputs, projects):
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.added = outputs - inputs
        self.conv1, self.bn1 = conv(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs)
        self.projection = None
        if projects and self.added:
            self.projection = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.projection is not None:
            x = self.projection(x)
        elif self.added:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        return F.relu(y + x)


def resnet(stem, widths, blocks, projects):
    layers, inputs = [conv(3, stem, 3, 1, 1), nn.BatchNorm2d(stem), nn.ReLU()], stem
    for outputs in widths:
        for _ in range(blocks):
            layers.append(Block(inputs, outputs, projects))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def cnn():
    widths, strides = [1, 16, 32, 32, 64, 64], [1, 2, 1, 2, 1]
    layers = []
    for inputs, outputs, stride in zip(widths, widths[1:], strides):
        layers += [conv(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )


def mlp():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )


MODELS = {
    "mlp": (mlp, (1, 28, 28)),
    "lenet5": (lenet5, (1, 28, 28)),
    "cnn": (cnn, (1, 28, 28)),
    "resnet20": (lambda: resnet(16, (16, 32, 64), 3, False), (3, 32, 32)),
    "resnet18": (lambda: resnet(64, (64, 128, 256, 512), 2, True), (3, 32, 32)),
}


def length(tensors):
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(tensor) for tensor in tensors]))


def prepare(model, method, x, target):
    """A step of SGD with momentum, or of bilateral SAM over it with radii of 0.05."""
    parameters = list(model.parameters())
    base = torch.optim.SGD(parameters, 0.01, momentum=0.9, weight_decay=1e-3)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]

    def gradients(first):
        # Running statistics move in the first pass only.
        for module in norms:
            module.momentum = 0.1 if first else 0.0
        F.cross_entropy(model(x), target, label_smoothing=0.1).backward()
        made = [parameter.grad for parameter in parameters]
        for parameter in parameters:
            parameter.grad = None
        return made

    def at(saved, along, factor):
        with torch.no_grad():
            for parameter, start, vector in zip(parameters, saved, along):
                torch.add(start, vector, alpha=factor, out=parameter)
        return gradients(False)

    def step():
        direction = gradients(True)
        if method == "bilateral-sam":
            saved = [parameter.detach().clone() for parameter in parameters]
            radius = 0.05 / float(length(direction))
            above, below = at(saved, direction, radius), at(saved, direction, -radius)
            share = float(length(above) / length(below))
            direction = [up + (own - share * down) for up, own, down in zip(above, direction, below)]
            with torch.no_grad():
                for parameter, start in zip(parameters, saved):
                    parameter.copy_(start)
        for parameter, vector in zip(parameters, direction):
            parameter.grad = vector
        base.step()
        for parameter in parameters:
            parameter.grad = None

    return step


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="cnn", choices=MODELS)
    parser.add_argument("--method", default="sgd", choices=["sgd", "bilateral-sam"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2, help="at least so many timed steps")
    parser.add_argument("--seconds", type=float, default=1.5, help="and for at least so long")
    parser.add_argument("--channels-last", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    build, shape = MODELS[options.model]
    order = torch.channels_last if options.channels_last else torch.contiguous_format
    model = build().to(memory_format=order).train()
    x = (torch.rand(options.batch, *shape) * 2 - 1).contiguous(memory_format=order)
    step = prepare(model, options.method, x, torch.arange(options.batch) % 10)
    warm = time.perf_counter() + options.seconds / 10
    step()
    while time.perf_counter() < warm:
        step()
    milliseconds, end = [], time.perf_counter() + options.seconds
    while len(milliseconds) < options.steps or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        milliseconds.append((time.perf_counter() - start) * 1000)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"torch": torch.__version__, "milliseconds": milliseconds, "peakBytes": peak}))


if __name__ == "__main__":
    main()
