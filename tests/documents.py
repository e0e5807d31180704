"""The documents of the repository, and the code blocks in them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("rules/**/*.md")], key=lambda path: path.parts
)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: where it stands, its language and its text."""

    document: Path
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}: {self.text.partition(chr(10))[0][:40]}"


def blocks(*documents: Path) -> list[Block]:
    """Return the code blocks of documents, in their order."""
    return [
        Block(document, language, text)
        for document in documents or DOCUMENTS
        for language, text in _BLOCK.findall(document.read_text("utf-8"))
    ]
