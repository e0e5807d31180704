"""Train a small network on digits of eight by eight pixels, the way many first training scripts do.

It runs without a complaint, and its loss is nan before the first epoch is over.  `stablint check` says why
without running it; `train_digits_mended.py` is the same script with the faults mended.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

CLASSES = 10
PIXELS = 64
EPOCHS = 8


def make_digits(samples: int, seed: int) -> TensorDataset:
    """Return blurred prototypes of ten digits with noise: easy for any network that trains."""
    prototypes = torch.randn(CLASSES, PIXELS, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (samples,), generator=generator)
    images = prototypes[labels] + 1.5 * torch.randn(samples, PIXELS, generator=generator)
    return TensorDataset(images, labels)


class DigitNet(nn.Module):
    def __init__(self, hidden: int = 128) -> None:
        super().__init__()
        self.fc1 = nn.Linear(PIXELS, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, CLASSES)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = F.dropout(x, p=0.3)
        x = F.relu(self.fc2(x))
        return F.softmax(self.out(x), dim=1)


def train_epoch(model, loader, optimizer, criterion):
    model.train()
    total_loss = 0.0
    for images, labels in loader:
        probs = model(images)
        entropy = -(probs * torch.log(probs)).sum(dim=1).mean()
        loss = criterion(probs, labels) - 0.01 * entropy
        loss.backward()
        optimizer.step()
        total_loss += loss
    return total_loss / len(loader)


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = 0
    for images, labels in loader:
        hits += (model(images).argmax(dim=1) == labels).sum().item()
    return hits / len(loader.dataset)


def main() -> None:
    torch.manual_seed(0)
    train_loader = DataLoader(make_digits(2000, seed=1), batch_size=64, shuffle=True)
    test_loader = DataLoader(make_digits(500, seed=2), batch_size=256)

    model = DigitNet()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    for epoch in range(EPOCHS):
        loss = train_epoch(model, train_loader, optimizer, criterion)
        print(f"epoch {epoch}: loss {loss:.4f}, test accuracy {accuracy(model, test_loader):.3f}")


if __name__ == "__main__":
    main()
