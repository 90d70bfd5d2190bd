"""What may be in an image and who runs in it, read from the Dockerfiles."""

import re
from pathlib import Path

import pytest

from tests.support.images import DOCKERFILES, ROOT, Instruction, copied, stages

SECRET = re.compile(r"password|secret|token|api_?key", re.IGNORECASE)
OWN = {
    "infra/localstack/Dockerfile": {"shared", "infra"},
    **{
        f"services/{path.parent.name}/Dockerfile": {"shared", "services/__init__.py", f"services/{path.parent.name}"}
        for path in ROOT.glob("services/*/main.py")
    },
}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


every_image = pytest.mark.parametrize("path", DOCKERFILES, ids=named)


def all_of(stage: list[Instruction], name: str) -> list[Instruction]:
    return [instruction for instruction in stage if instruction.name == name]


def test_every_service_has_an_image() -> None:
    assert set(OWN) == {named(path) for path in DOCKERFILES}


@every_image
def test_an_image_holds_its_own_service_only(path: Path) -> None:
    *_, final = stages(path)
    assert copied(final) == OWN[named(path)]
    assert not all_of(final, "ADD")


@every_image
def test_nobody_in_it_is_root(path: Path) -> None:
    *_, final = stages(path)
    (user,) = all_of(final, "USER")
    assert int(user.text) > 0
    after = [instruction.name for instruction in final[final.index(user) :]]
    assert not {"RUN", "COPY"} & set(after)


@every_image
def test_packages_come_from_the_lock_with_their_hashes_and_leave_their_tools_behind(path: Path) -> None:
    first, final = stages(path)
    assert copied(first) == {"locks/runtime.txt"}
    (install,) = all_of(first, "RUN")
    assert "--require-hashes -r /tmp/runtime.txt" in install.text
    assert not any("pip" in instruction.text for instruction in all_of(final, "RUN"))


@every_image
def test_the_base_is_pinned_and_no_frontend_is_pulled(path: Path) -> None:
    assert {stage[0].words[0] for stage in stages(path)} == {"python:3.13-slim"}
    assert "syntax=" not in path.read_text()


@every_image
def test_no_secret_is_in_it(path: Path) -> None:
    for stage in stages(path):
        for instruction in [*all_of(stage, "ENV"), *all_of(stage, "ARG")]:
            assert not SECRET.search(instruction.text)


@every_image
def test_docker_can_ask_how_it_is_and_it_gets_its_signals(path: Path) -> None:
    *_, final = stages(path)
    (health,) = all_of(final, "HEALTHCHECK")
    assert "/readyz" in health.text or "$READY_FILE" in health.text
    (command,) = all_of(final, "CMD")
    assert command.text.startswith('["python", "-m", ')  # a shell in between would swallow SIGTERM
    module = command.text.split('"')[5]
    assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists()


def test_the_build_sees_only_what_images_hold() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    needed = {
        source.split("/")[0] if "locks" not in source else source for sources in OWN.values() for source in sources
    }
    assert {rule[1:] for rule in rules if rule.startswith("!")} == needed | {"locks/runtime.txt"}
