"""Dockerfiles and the compose file as values."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted([*ROOT.glob("services/*/Dockerfile"), *ROOT.glob("infra/**/Dockerfile")])


@dataclass(frozen=True)
class Instruction:
    """One line of a Dockerfile, continuation lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


def stages(path: Path) -> list[list[Instruction]]:
    """The instructions of each stage; each begins with its FROM."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: list[list[Instruction]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, text = line.strip().partition(" ")
        if name == "FROM":
            found.append([])
        if not found:
            continue  # what a FROM may be told
        found[-1].append(Instruction(name, text.strip()))
    return found


def copied(stage: list[Instruction]) -> set[str]:
    """What a stage copies from the repository."""
    return {
        source.rstrip("/")
        for instruction in stage
        if instruction.name == "COPY" and "--from=" not in instruction.text
        for source in instruction.words[:-1]
    }


def compose() -> dict[str, Any]:
    """The compose file, its merge keys resolved."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document
