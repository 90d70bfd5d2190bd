"""The locks: one for each image, with what its process imports and nothing that it does not use."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from tests.support.sources import ROOT
from tools.locks import EXTRAS, LOCKS

PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)
OURS = {"event-trio", "event-trio-relay", "event-trio-workspace"}
# What only a terminal, the scaffold or the tests use; and what only one service does.
NOT_IN_IMAGES = {"rich", "typer", "pytest", "hatchling"}
ONLY = {"jinja2": {"notification", "console"}, "aiosmtplib": {"notification"}, "sqlmodel": {"service", "notification"}}
# The programs of each image.
PROGRAMS = {
    "service": ("services.order.main", "services.order.migrate"),
    "notification": ("services.notification.main", "services.notification.migrate"),
    "relay": ("services.relay.main",),
    "relay-nats": ("services.relay.main", "event_trio.broker.jetstream"),
    "relay-rabbitmq": ("services.relay.main", "event_trio.broker.rabbitmq"),
    "console": ("services.console.main",),
    "topology": ("infra.localstack.watch",),
}
# Imports a program in a process in which only the named modules can be found beside Python's own.
GUARDED = """
import importlib, sys

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"{name} is not in the lock", name=name)

sys.meta_path.insert(0, Guard())
importlib.import_module(PROGRAM)
"""


def pins(lock: str) -> dict[str, str]:
    """Names and versions of a lock."""
    return dict(PIN.findall((ROOT / lock).read_text(encoding="utf-8")))


every_image = pytest.mark.parametrize("image", EXTRAS)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_names_no_registry_and_nothing_of_this_repository(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert len(re.findall(r"^\S.*\\$", text, re.MULTILINE)) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    assert not OURS & set(pins(lock))


def test_every_lock_is_made_by_the_tool() -> None:
    assert {f"locks/{path.name}" for path in (ROOT / "locks").glob("*.txt")} == set(LOCKS)


@every_image
def test_an_image_has_the_versions_that_the_tests_run_with(image: str) -> None:
    tested = pins("locks/dev.txt")
    assert {name: tested.get(name) for name in pins(f"locks/{image}.txt")} == pins(f"locks/{image}.txt")


@every_image
def test_an_image_has_nothing_that_its_process_does_not_use(image: str) -> None:
    found = set(pins(f"locks/{image}.txt"))
    assert not NOT_IN_IMAGES & found
    assert {name for name, images in ONLY.items() if image in images} == set(ONLY) & found


@pytest.mark.parametrize(("image", "program"), [(image, name) for image, names in PROGRAMS.items() for name in names])
def test_a_program_imports_nothing_but_what_its_lock_has(image: str, program: str) -> None:
    locked = set(pins(f"locks/{image}.txt"))
    installed = modules_of_packages()
    hidden = sorted(
        module
        for module, distributions in installed.items()
        if not {normalised(name) for name in distributions} & (locked | OURS)
    )
    source = f"import gc; gc.disable()\nPROGRAM, HIDDEN = {program!r}, {hidden!r}\n{GUARDED}"
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, cwd=ROOT, timeout=110)
    assert ran.returncode == 0, ran.stderr


def test_the_images_use_extras_that_the_library_has() -> None:
    library = tomllib.loads((ROOT / "shared/pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {extra for extras in EXTRAS.values() for extra in extras} <= set(library["optional-dependencies"])


@cache
def modules_of_packages() -> Mapping[str, list[str]]:
    """The packages by the modules that they contain; to read them all takes a tenth of a second."""
    return packages_distributions()


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
