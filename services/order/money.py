"""Currencies and their minor units (ISO 4217)."""

from __future__ import annotations

from decimal import Decimal

# The active currencies of ISO 4217 list one, by the number of decimal places.
_CODES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
        "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
        "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD "
        "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
        "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}

MINOR_UNITS = {code: digits for digits, codes in _CODES.items() for code in codes.split()}


def fits(amount: Decimal, currency: str) -> bool:
    """Whether the amount has no more decimal places than the currency: 0.5 KRW has."""
    return amount == in_minor_units(amount, currency)


def in_minor_units(amount: Decimal, currency: str) -> Decimal:
    """The amount with the decimal places of the currency: 12.5 USD becomes 12.50."""
    return amount.quantize(Decimal(1).scaleb(-MINOR_UNITS[currency]))
