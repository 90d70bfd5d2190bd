"""The commands for the topology take their options as services take their settings."""

import pytest

from infra import check, deploy
from infra.deploy import where_options

COMMANDS = {"deploy": deploy.run, "check": check.run}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens there, if it came to that."""
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
def test_an_option_that_services_would_refuse_is_refused(
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
    with pytest.raises(SystemExit) as left:
        COMMANDS[command]([] if from_environment else [f"{option}={value}"])
    assert left.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1"])
def test_regions_are_taken(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert where_options().parse_args(["--region", region]).region == region
    monkeypatch.setenv("AWS_REGION", f" {region} ")
    assert where_options().parse_args([]).region == region


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_variable_counts_as_unset(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MESSAGE_BYTES", "AWS_REGION", "TOPOLOGY_PREFIX"):
        monkeypatch.setenv(name, blank)
    options = deploy._arguments().parse_args([])
    assert (options.message_bytes, options.region, options.prefix) == (None, "us-east-1", "")
