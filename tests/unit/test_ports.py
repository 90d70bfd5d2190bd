"""Free ports, and the message about a port in use."""

import socket

import pytest

from tools.embedded.errors import PortInUse
from tools.embedded.ports import LOOPBACK, ensure_free, free_port, free_ports


@pytest.mark.parametrize("address", [LOOPBACK, "0.0.0.0"])
def test_a_port_in_use_is_reported_with_its_purpose_and_variable(address: str) -> None:
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            PortInUse, match=rf"Port {port} \(the order service\) is in use.*DEMO_ORDER_PORT="
        ) as failed:
            ensure_free(port, "the order service", "DEMO_ORDER_PORT")
    assert "\n" not in str(failed.value)


def test_a_free_port_is_accepted() -> None:
    ensure_free(free_port(), "anything", "ANY_PORT")


def test_free_ports_are_distinct_and_below_the_ephemeral_ports() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    assert max(found) < 32768
