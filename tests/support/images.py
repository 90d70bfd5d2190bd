"""The Dockerfile and the compose file as values."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """One line of a Dockerfile, continuation lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


@dataclass(frozen=True)
class Image:
    """An image that the compose file builds."""

    name: str
    target: str
    args: Mapping[str, str] = field(default_factory=dict)

    @property
    def lock(self) -> str:
        """The lock of its packages."""
        return f"locks/{self.args.get('LOCK', 'service')}.txt"

    def stage(self, name: str) -> list[Instruction]:
        """The instructions of a stage, those of the stages under it first, with the arguments of this image."""
        found: list[Instruction] = []
        known = {stage[0].words[-1]: stage for stage in stages(DOCKERFILE, self.args)}
        while (stage := known.get(name)) is not None:
            found = [*stage, *found]
            name = stage[0].words[0]
        return found

    @property
    def final(self) -> list[Instruction]:
        """Everything that the image is made of, without the stage of its packages."""
        return self.stage(self.target)


def stages(path: Path, args: Mapping[str, str] | None = None) -> list[list[Instruction]]:
    """The instructions of each stage, which begins with its FROM; arguments are replaced by their values."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: list[list[Instruction]] = []
    values: dict[str, str] = {}
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, text = line.strip().partition(" ")
        if name == "FROM":
            found.append([])
            values = {}
        if not found:
            continue  # an option of FROM
        if name == "ARG":
            argument, _, default = text.partition("=")
            values[argument] = (args or {}).get(argument, default)
        found[-1].append(Instruction(name, _substituted(text.strip(), values)))
    return found


def _substituted(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda match: values.get(match[1], match[0]), text)


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
    document: dict[str, Any] = yaml.load((ROOT / "docker-compose.yml").read_text(), Loader=yaml.CSafeLoader)
    return document


def images() -> list[Image]:
    """The images that the compose file builds."""
    built = [service for service in compose()["services"].values() if "build" in service]
    return [Image(each["image"], each["build"]["target"], each["build"].get("args", {})) for each in built]
