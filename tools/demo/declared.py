"""The services that the project declares: `services/<name>/service.toml`, one for each."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tools.demo.errors import DemoError

SERVICES = Path(__file__).parents[2] / "services"
FILE = "service.toml"


class DeclaredService(BaseModel):
    """How a service is run. Its roles are `<name>_api` and, with a relay, `<name>_relay`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    port: int = Field(ge=1, le=65535)
    database: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    publishes: str | None = None
    """The domain of its events, such as `order-events`; a relay carries them."""
    relay_port: int | None = Field(None, ge=1, le=65535)
    environment: Mapping[str, str] = Field(default_factory=dict)
    """Settings besides the common ones; `{name}` stands for the URL of a service."""

    @model_validator(mode="after")
    def _has_a_relay_for_its_events(self) -> "DeclaredService":
        if (self.publishes is None) != (self.relay_port is None):
            raise ValueError("publishes and relay_port go together: a relay carries what is published")
        return self


def load(folder: Path = SERVICES) -> tuple[DeclaredService, ...]:
    """Every declared service, in the order of their ports.

    Raises:
        DemoError: a declaration cannot be read; the message names the file and what is wrong with it.
    """
    found = [_read(path) for path in folder.glob(f"*/{FILE}")]
    return tuple(sorted(found, key=lambda service: service.port))


def _read(path: Path) -> DeclaredService:
    try:
        return DeclaredService.model_validate({"name": path.parent.name, **tomllib.loads(path.read_text("utf-8"))})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        wrong = f"{where}: {problem['msg']}" if where else problem["msg"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        wrong = str(error)
    raise DemoError(f"{path.parent.name}/{FILE} cannot be used: {wrong}")
