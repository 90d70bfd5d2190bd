"""A port that is taken is told in one sentence."""

import socket

import pytest

from tools.embedded.errors import PortInUse
from tools.embedded.ports import LOOPBACK, ensure_free, free_port, free_ports


@pytest.mark.parametrize("address", [LOOPBACK, "0.0.0.0"])
def test_names_the_port_its_purpose_and_the_variable(address: str) -> None:
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"Port {port} \(the order service\) is in use.*DEMO_ORDER_PORT=") as told:
            ensure_free(port, "the order service", "DEMO_ORDER_PORT")
    assert "\n" not in str(told.value)


def test_a_free_port_passes() -> None:
    ensure_free(free_port(), "anything", "ANY_PORT")


def test_ports_found_together_differ_and_no_outgoing_connection_gets_one() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    assert max(found) < 32768
