"""The options of the commands for the topology have the same limits as the settings of the services."""

import pytest

from infra import check, deploy
from infra.command import location_options

COMMANDS = {"deploy": deploy.run, "check": check.run}


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server listens on this port, in case a command connects."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("MESSAGE_BYTES", raising=False)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("from_environment", [True, False])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("MESSAGE_BYTES", value)
            for value in ("٢٦٢١٤٤", "２６２１４４", "1023", "1048577", "9" * 5000, "many", "-1", "+2048")
        ),
        *(("AWS_REGION", value) for value in ("Mars", "us east 1", "us-east-1\n-x", "us_east_1", "us-éast-1", "us")),
    ],
)
def test_an_option_that_services_would_reject_is_rejected(
    command: str,
    from_environment: bool,
    name: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    option = {"MESSAGE_BYTES": "--message-bytes", "AWS_REGION": "--region"}[name]
    if from_environment:
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as exited:
        COMMANDS[command]([] if from_environment else [f"{option}={value}"])
    assert exited.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1"])
def test_regions_are_accepted(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert location_options().parse_args(["--region", region]).region == region
    monkeypatch.setenv("AWS_REGION", f" {region} ")
    assert location_options().parse_args([]).region == region


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_variable_counts_as_unset(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MESSAGE_BYTES", "AWS_REGION", "TOPOLOGY_PREFIX"):
        monkeypatch.setenv(name, blank)
    options = deploy._arguments().parse_args([])
    assert (options.message_bytes, options.region, options.prefix) == (None, "us-east-1", "")
