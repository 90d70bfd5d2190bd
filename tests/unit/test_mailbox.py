"""Valid e-mail addresses, and the form in which they are sent."""

import re

import pytest

from event_trio.mailbox import PATTERN, NotMailable, mailbox

LONG_DOMAIN = ".".join(["b" * 62] * 4)


@pytest.mark.parametrize(
    ("address", "sent_to", "is_ascii"),
    [
        ("ada@example.com", "ada@example.com", True),
        ("o'neil+tea=1@EXAMPLE.co.uk", "o'neil+tea=1@example.co.uk", True),
        ("ada@localhost", "ada@localhost", True),
        ("ada@예시.com", "ada@xn--vv4b11d.com", True),
        ("ada@xn--vv4b11d.com", "ada@xn--vv4b11d.com", True),
        # IDNA 2008 keeps what IDNA 2003, which is Python's own, would turn into another domain.
        ("ada@straße.de", "ada@xn--strae-oqa.de", True),
        ("주문@예시.com", "주문@xn--vv4b11d.com", False),
    ],
)
def test_a_domain_is_sent_in_ascii(address: str, sent_to: str, is_ascii: bool) -> None:
    found = mailbox(address)
    assert (str(found), found.is_ascii) == (sent_to, is_ascii)
    assert re.match(PATTERN, address)


@pytest.mark.parametrize(
    "address",
    [
        *("", "@", "ada", "@example.com", "ada@", "a@b@c.de", "a b@c.de", " a@b.de", "a@b.de ", "a@b .de"),
        *("a@[b", "a@[127.0.0.1]", "a@[IPv6:::1]", "a@b]", '"a b"@c.de', '"a"@c.de', "a(x)@b.de", "<a@b.de>"),
        *("Ada <a@b.de>", "a@b.de,c@d.de", "a@b.de;c@d.de", "a@b.de>", "a\\@b.de", "a:b@c.de"),
        *(".a@b.de", "a.@b.de", "a..b@c.de", "a@.b.de", "a@b..de", "a@b.de.", "a@b.de。", "a@-b.de", "a@b-.de"),
        *(
            "a@b\r\nBcc: c@d.de",
            "a\r\nRSET\r\n@b.de",
            "a\n@b.de",
            "a\x00@b.de",
            "a@b\x00.de",
            "a\x7f@b.de",
            "a\x85@b.de",
        ),
        *("a\u2028@b.de", "a\u202e@b.de", "a\u200b@b.de", "a@b\u202e.de", "a@☃.net", "a@xn--a", "a@a_b.de", "a@a%b.de"),
        *(
            "=?utf-8?b?DQpCY2M6IHhAeS56DQpYOiA=?=@b.co",
            "a=?utf-8?q?b?=@b.de",
            "a.=?us-ascii?q?=0D=0A?=@b.de",
            "=?@b.de",
        ),
        *(
            "a\u3000b@c.de",
            "a@b\u3000.de",
            "\ufeffa@b.de",
            "a@b.de\ufeff",
            "a@b\u200b.de",
            "a@b\u00ad.de",
            "a\u00a0@b.de",
        ),
        *("a\u1680@b.de", "a\u2003@b.de", "a\u3164@b.de", "a\uffa0@b.de", "a\u2800@b.de", "a\U000e0041@b.de"),
        *("a\ud800@b.de", "a@b\ud800.de", "a\ufdd0@b.de", "a\uffff@b.de"),
        *(
            f"{'a' * 65}@b.de",
            f"{'가' * 22}@b.de",
            f"a@{'b' * 64}.de",
            f"{'a' * 10}@{LONG_DOMAIN}",
            f"a@{'가' * 60}.de",
        ),
    ],
)
def test_invalid_addresses_are_rejected_without_quoting_them(address: str) -> None:
    with pytest.raises(NotMailable) as caught:
        mailbox(address)
    assert "e-mail address" in str(caught.value)
    assert not address or address not in str(caught.value) or len(address) < 5


@pytest.mark.parametrize(
    ("address", "fits"),
    [
        *((address, True) for address in ("a=b?c@d.de", "?@d.de", "=@d.de", "??==@d.de", "a?=@d.de", "=a@d.de")),
        *((address, False) for address in ("=?@d.de", "a=?b@d.de", "?=?@d.de", "=?utf-8?b?eA==?=@d.de", "@d.de")),
        *(
            (address, False)
            for address in ("a\u3000b@d.de", "\ufeffa@d.de", "a@d\u200b.de", "a\u00a0@d.de", "a\x85@d.de")
        ),
    ],
)
def test_the_pattern_of_the_api_rejects_whitespace_and_encoded_words(address: str, fits: bool) -> None:
    assert bool(re.search(PATTERN, address)) is fits
