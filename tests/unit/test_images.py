"""What may be in an image and who runs in it, read from the Dockerfile."""

import re

import pytest

from tests.support.images import DOCKERFILE, ROOT, Image, Instruction, copied, images, stages
from tools.locks import EXTRAS

SECRET = re.compile(r"password|secret|token|api_?key", re.IGNORECASE)
IMAGES = images()
SERVICES = {path.parent.name for path in ROOT.glob("services/*/main.py")}

every_image = pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)


def all_of(stage: list[Instruction], name: str) -> list[Instruction]:
    return [instruction for instruction in stage if instruction.name == name]


def commands(stage: list[Instruction]) -> list[str]:
    """The commands of a stage, one by one."""
    return [part.strip() for instruction in all_of(stage, "RUN") for part in instruction.text.split("&&")]


def test_every_service_has_an_image_and_the_topology_too() -> None:
    assert {image.name for image in IMAGES} == {f"event-trio/{name}" for name in (*SERVICES, "topology")}
    assert {image.args["SERVICE"] for image in IMAGES if image.target == "service"} == SERVICES


@every_image
def test_an_image_holds_its_own_service_only(image: Image) -> None:
    service = image.args.get("SERVICE")
    own = {"services/__init__.py", f"services/{service}"} if service else {"infra"}
    assert copied(image.final) == own
    assert not all_of(image.final, "ADD")


@every_image
def test_nobody_in_it_is_root(image: Image) -> None:
    (user,) = all_of(image.final, "USER")
    assert int(user.text) > 0
    after = [instruction.name for instruction in image.final[image.final.index(user) :]]
    assert not {"RUN", "COPY"} & set(after)


@every_image
def test_a_change_of_the_library_does_not_install_the_packages_again(image: Image) -> None:
    packages = image.stage("packages")
    (library,) = [at for at, found in enumerate(packages) if found.name == "COPY" and "shared/" in found.words]
    downloads = [at for at, found in enumerate(packages) if "--require-hashes" in found.text]
    assert downloads
    assert max(downloads) < library


@every_image
def test_packages_come_from_the_image_s_lock_with_their_hashes_and_leave_their_tools_behind(image: Image) -> None:
    packages = image.stage("packages")
    assert copied(packages) == {"locks/build.txt", image.lock, "shared"}
    downloads = [part for part in commands(packages) if " install " in part and "--no-index" not in part]
    assert [part.split("--require-hashes -r /tmp/")[1].strip() for part in downloads] == [image.lock, "locks/build.txt"]
    assert not any("pip" in instruction.text for instruction in all_of(image.final, "RUN"))
    assert "COPY --from=packages /opt/venv /opt/venv" in DOCKERFILE.read_text()
    assert image.lock.removeprefix("locks/").removesuffix(".txt") in EXTRAS


@every_image
def test_the_library_is_installed_as_a_wheel_that_was_built_offline(image: Image) -> None:
    offline = [part for part in commands(image.stage("packages")) if "--no-index" in part]
    assert [part.split()[1] for part in offline] == ["wheel", "install"]
    assert all("--no-deps" in part for part in offline)


def test_the_base_is_pinned_and_no_frontend_is_pulled() -> None:
    known = {stage[0].words[-1] for stage in stages(DOCKERFILE)}
    assert {stage[0].words[0] for stage in stages(DOCKERFILE)} - known == {"python:3.13-slim"}
    assert "syntax=" not in DOCKERFILE.read_text()


def test_no_secret_is_in_it() -> None:
    for stage in stages(DOCKERFILE):
        for instruction in [*all_of(stage, "ENV"), *all_of(stage, "ARG")]:
            assert not SECRET.search(instruction.text)


@every_image
def test_docker_can_ask_how_it_is_and_it_gets_its_signals(image: Image) -> None:
    (health,) = all_of(image.final, "HEALTHCHECK")
    assert "/readyz" in health.text or "$READY_FILE" in health.text
    (command,) = all_of(image.final, "CMD")
    text = command.text.replace("$SERVICE", image.args.get("SERVICE", ""))
    # A shell that stays in between would swallow SIGTERM.
    found = re.fullmatch(r'\["python", "-m", "([\w.]+)"\]|\["bash", "-c", "exec python -m ([\w.]+)"\]', text)
    assert found
    assert (ROOT / (found[1] or found[2]).replace(".", "/")).with_suffix(".py").exists()


def test_the_build_sees_only_what_images_hold() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    needed = {"shared", "services", "infra", "locks/build.txt", *(f"locks/{image}.txt" for image in EXTRAS)}
    assert {rule[1:] for rule in rules if rule.startswith("!")} == needed
