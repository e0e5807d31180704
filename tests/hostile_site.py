"""Installing the hostile rule pack as pip would: a package and its entry point in a folder to import from."""

from pathlib import Path

HOSTILE_PACK = Path(__file__).with_name("hostile_pack.py")


def install_hostile_pack(site: Path) -> None:
    package = site / "hostile"
    package.mkdir(parents=True)
    package.joinpath("__init__.py").write_bytes(HOSTILE_PACK.read_bytes())
    info = site / "hostile-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
    info.joinpath("entry_points.txt").write_text("[stablint.rules]\nhostile = hostile\n")


def write_files(folder: Path, orders: dict[str, str]) -> list[str]:
    """Write files that concern torch, each with its order to the hostile rule; return their paths."""
    for name, order in orders.items():
        folder.joinpath(name).write_text(f"import torch\n# do: {order}\n" if order else "import torch\n")
    return [str(folder / name) for name in orders]
