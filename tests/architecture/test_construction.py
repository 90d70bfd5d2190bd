"""Nothing is built when a module is imported: only main.py builds, and only when it is called."""

import ast

import pytest

from tests.support.sources import called, executed_at_import, named, parse, python_files

# What holds a connection, a registry or a setting. Tables and routers only describe; they may stand in a module.
BUILDERS = {
    *("create_engine", "create_async_engine", "create_pool", "async_sessionmaker", "sessionmaker"),
    *("FastAPI", "create_app", "AsyncClient", "Client", "Session", "Queue", "Supervisor", "Signals", "OutboxNotifier"),
    *("CollectorRegistry", "Counter", "Gauge", "Histogram", "Summary", "Info"),
    *("load", "configure", "getenv", "Lock", "Event", "Semaphore", "ThreadPoolExecutor"),
}


def test_nothing_is_built_at_import() -> None:
    built = [
        f"{named(path)}:{getattr(node, 'lineno', 0)}: {name}()"
        for path in python_files("shared", "services")
        for node in executed_at_import(parse(path))
        if (name := called(node)) and _builds(name)
    ]
    assert built == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("sent = prometheus_client.Counter('sent', '')", ["prometheus_client.Counter"]),
        ("class Metrics:\n    sent = Counter('sent', '')", ["Counter"]),
        ("def f(engine=create_engine('')): ...", ["create_engine"]),
        ("settings = RelaySettings()", ["RelaySettings"]),
        ("def build():\n    return create_engine('')", []),
        ("router = APIRouter()", []),
    ],
)
def test_the_rule_sees_what_runs_at_import(source: str, names: list[str]) -> None:
    calls = [called(node) for node in executed_at_import(ast.parse(source))]
    assert [name for name in calls if name and _builds(name)] == names


def _builds(name: str) -> bool:
    return name.rpartition(".")[2] in BUILDERS or name.endswith("Settings") or name == "os.environ.get"
