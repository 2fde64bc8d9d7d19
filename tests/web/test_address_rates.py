"""How much one address may send over all its connections."""

import pytest

from worldplay.protocol.errors import ProtocolError
from worldplay.web.address_rates import BYTES_BURST, MESSAGES_BURST, AddressRates


def send(rates: AddressRates, host: str, times: int, num_bytes: int) -> None:
    for _ in range(times):
        rates.charge(host, num_bytes, 0.0)


@pytest.mark.parametrize(
    ("times", "num_bytes"),
    [(MESSAGES_BURST + 1, 1), (BYTES_BURST // 2**20 + 1, 2**20)],
    ids=["messages", "bytes"],
)
def test_address_that_sends_too_much_is_refused_and_others_are_not(times: int, num_bytes: int) -> None:
    rates = AddressRates()
    with pytest.raises(ProtocolError, match=r"too_fast: .* from one address"):
        send(rates, "10.0.0.1", times, num_bytes)
    send(rates, "10.0.0.2", times - 1, num_bytes)


def test_addresses_of_one_network_count_as_one() -> None:
    rates = AddressRates()
    send(rates, "2001:db8::1", MESSAGES_BURST, 1)
    with pytest.raises(ProtocolError):
        rates.charge("2001:db8::2", 1, 0.0)
