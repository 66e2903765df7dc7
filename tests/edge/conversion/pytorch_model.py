"""Makes `recorded/pytorch.tflite.packed`: a network trained by PyTorch and converted by litert-torch.

    python -m venv ENV
    ENV/bin/pip install torch==2.13.0 litert-torch==0.10.0 numpy
    ENV/bin/python tests/edge/conversion/pytorch_model.py out.tflite
    edge pack out.tflite --out tests/edge/conversion/recorded/pytorch.tflite.packed

Images are 16 x 16 with a bright spot in one of four quadrants, channels first, as PyTorch has them.
"""

import sys

import numpy as np


def spots(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 1, 16, 16) in [0, 1], and the quadrants of their spots (count,)."""
    rng = np.random.default_rng(seed)
    quadrant = rng.integers(0, 4, count)
    x = rng.random((count, 1, 16, 16), np.float32) * np.float32(0.5)
    for image, place in zip(x, quadrant, strict=True):
        row, column = (place // 2) * 8 + rng.integers(0, 5), (place % 2) * 8 + rng.integers(0, 5)
        image[0, row : row + 4, column : column + 4] += np.float32(0.4)
    return x, quadrant


def main(path: str) -> None:
    """Trains and converts the network."""
    import litert_torch
    import torch
    from torch import nn

    torch.manual_seed(0)

    def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU6(),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(),
        )

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(1, 16, 3, 2, 1),
                nn.ReLU(),
                nn.Conv2d(16, 24, 3, 2, 1, bias=False),
                nn.BatchNorm2d(24),
                nn.ReLU(),
                separable(24, 32, 1),
            )
            self.head = nn.Linear(32, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.features(x).mean((2, 3)))

    network, (x, y) = Network(), spots(2000, 0)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(8):
        for start in range(0, len(x), 50):
            scores = network(torch.tensor(x[start : start + 50]))
            loss = nn.functional.cross_entropy(scores, torch.tensor(y[start : start + 50]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    litert_torch.convert(network.eval(), (torch.zeros(1, 1, 16, 16),)).export(path)


if __name__ == "__main__":
    main(sys.argv[1])
