#!/usr/bin/env python3
"""Writes the small GeoIP databases of tests/data.

Standard library only; the same bytes every time (`build_epoch` is fixed), so a
second run must leave `git status` clean:

    python3 tests/make_geoip.py            # into tests/data
    python3 tests/make_geoip.py DIRECTORY  # elsewhere

Every network is documentation space (RFC 5737, RFC 3849), every AS number too
(RFC 5398). What a range holds is in PLACES, NETWORKS, SYSTEMS and ANONYMIZERS
below; the tests quote these rows.
"""

import ipaddress
import struct
import sys
from pathlib import Path

BUILD_EPOCH = 1_767_225_600  # 2026-01-01T00:00:00Z

# key: continent code, continent, country code, country, region code, region, city, postal code, time zone, latitude, longitude
PLACES = {
    "amsterdam": ("EU", "Europe", "NL", "The Netherlands", "NH", "North Holland", "Amsterdam", "1012", "Europe/Amsterdam", 52.3759, 4.8975),
    "zurich": ("EU", "Europe", "CH", "Switzerland", "ZH", "Zurich", "Zürich", "8001", "Europe/Zurich", 47.3667, 8.55),
    "sao-paulo": ("SA", "South America", "BR", "Brazil", "SP", "São Paulo", "São Paulo", "01000", "America/Sao_Paulo", -23.5475, -46.6361),
    "tokyo": ("AS", "Asia", "JP", "Japan", "13", "Tokyo", "Tokyo", "100-0001", "Asia/Tokyo", 35.6895, 139.6917),
    "new-york": ("NA", "North America", "US", "United States", "NY", "New York", "New York", "10001", "America/New_York", 40.7128, -74.006),
    "nairobi": ("AF", "Africa", "KE", "Kenya", "30", "Nairobi County", "Nairobi", "00100", "Africa/Nairobi", -1.2833, 36.8167),
    "sydney": ("OC", "Oceania", "AU", "Australia", "NSW", "New South Wales", "Sydney", "2000", "Australia/Sydney", -33.8688, 151.2093),
    "san-francisco": ("NA", "North America", "US", "United States", "CA", "California", "San Francisco", "94103", "America/Los_Angeles", 37.7749, -122.4194),
    "london": ("EU", "Europe", "GB", "United Kingdom", "ENG", "England", "London", "EC1A", "Europe/London", 51.5142, -0.0931),
    "bengaluru": ("AS", "Asia", "IN", "India", "KA", "Karnataka", "Bengaluru", "560001", "Asia/Kolkata", 12.9719, 77.5937),
    "montreal": ("NA", "North America", "CA", "Canada", "QC", "Quebec", "Montréal", "H2Y", "America/Toronto", 45.5088, -73.5878),
    "berlin": ("EU", "Europe", "DE", "Germany", "BE", "State of Berlin", "Berlin", "10178", "Europe/Berlin", 52.5244, 13.4105),
    "paris": ("EU", "Europe", "FR", "France", "IDF", "Île-de-France", "Paris", "75001", "Europe/Paris", 48.8534, 2.3488),
    "auckland": ("OC", "Oceania", "NZ", "New Zealand", "AUK", "Auckland", "Auckland", "1010", "Pacific/Auckland", -36.8485, 174.7635),
    "singapore": ("AS", "Asia", "SG", "Singapore", None, None, "Singapore", "018989", "Asia/Singapore", 1.2897, 103.8501),
    "buenos-aires": ("SA", "South America", "AR", "Argentina", "C", "Buenos Aires F.D.", "Buenos Aires", "C1000", "America/Argentina/Buenos_Aires", -34.6132, -58.3772),
    # Only a country is known, as for many mobile networks.
    "iceland": ("EU", "Europe", "IS", "Iceland", None, None, None, None, None, None, None),
}

# A range that no row names (192.0.2.240/28, 203.0.113.224/27, 2001:db8:f000::/36, ...) has no entry.
NETWORKS = [
    ("192.0.2.0/27", "amsterdam"),
    ("192.0.2.32/27", "zurich"),
    ("192.0.2.64/27", "sao-paulo"),
    ("192.0.2.96/27", "tokyo"),
    ("192.0.2.128/27", "new-york"),
    ("192.0.2.160/27", "nairobi"),
    ("192.0.2.192/27", "sydney"),
    ("192.0.2.224/28", "iceland"),
    ("198.51.100.0/26", "san-francisco"),
    ("198.51.100.64/26", "london"),
    ("198.51.100.128/26", "bengaluru"),
    ("198.51.100.192/26", "montreal"),
    ("203.0.113.0/26", "berlin"),
    ("203.0.113.64/26", "paris"),
    ("203.0.113.128/26", "auckland"),
    ("203.0.113.192/27", "singapore"),
    ("2001:db8::/36", "amsterdam"),
    ("2001:db8:1000::/36", "zurich"),
    ("2001:db8:2000::/36", "singapore"),
    ("2001:db8:3000::/36", "buenos-aires"),
    ("2001:db8:4000::/36", "san-francisco"),
]

# Ranges that the Country database holds and the City database does not.
COUNTRY_ONLY = [("203.0.113.224/28", "iceland")]

SYSTEMS = [
    ("192.0.2.0/26", 64496, "Example Telecom B.V."),
    ("192.0.2.64/26", 64497, "Telecomunicações Exemplo S.A."),
    ("192.0.2.128/25", 64498, "Example Broadband Inc."),
    ("198.51.100.0/25", 64499, "Example Cloud LLC"),
    ("198.51.100.128/25", 64500, "Example Mobile Ltd"),
    ("203.0.113.0/24", 65536, "Beispiel Netz GmbH"),
    ("2001:db8::/33", 65551, "Example IPv6 Transit"),
]

ANONYMIZERS = [
    ("198.51.100.16/28", ["is_anonymous", "is_anonymous_vpn"]),
    ("198.51.100.80/28", ["is_anonymous", "is_hosting_provider"]),
    ("203.0.113.16/28", ["is_anonymous", "is_tor_exit_node"]),
    ("203.0.113.80/28", ["is_anonymous", "is_public_proxy"]),
    ("203.0.113.144/28", ["is_anonymous", "is_residential_proxy"]),
    ("2001:db8:4000::/44", ["is_anonymous", "is_anonymous_vpn", "is_hosting_provider"]),
]


class U16(int):
    """A value that the format stores as uint16."""


class U64(int):
    """A value that the format stores as uint64."""


class DataSection:
    """Encodes values; a map, list or long string seen before becomes a pointer, as in published files."""

    def __init__(self, pointers=True):
        self.out = bytearray()
        self.seen = {} if pointers else None

    def add(self, value):
        """Appends `value` unless it is there already; returns its offset."""
        key = repr(value)
        if self.seen is not None and key in self.seen:
            return self.seen[key]
        encoded = self.encode(value)
        offset = len(self.out)
        self.out += encoded
        if self.seen is not None:
            self.seen[key] = offset
        return offset

    def nested(self, value):
        """The bytes of `value` inside a map or list: a pointer where that is shorter."""
        shared = isinstance(value, (dict, list)) or (isinstance(value, str) and len(value.encode()) > 3)
        if self.seen is None or not shared:
            return self.encode(value)
        return pointer(self.add(value))

    def encode(self, value):
        if isinstance(value, bool):
            return control(14, int(value))
        if isinstance(value, str):
            data = value.encode()
            return control(2, len(data)) + data
        if isinstance(value, float):
            return control(3, 8) + struct.pack(">d", value)
        if isinstance(value, U16):
            return number(5, value)
        if isinstance(value, U64):
            return number(9, value)
        if isinstance(value, int):
            return number(6, value)
        if isinstance(value, list):
            return control(11, len(value)) + b"".join(self.nested(item) for item in value)
        if isinstance(value, dict):
            items = b"".join(self.nested(key) + self.nested(item) for key, item in value.items())
            return control(7, len(value)) + items
        raise TypeError(value)


def control(kind, size):
    """The control byte: three bits of type (0 and a byte more from 8 on), five bits of size."""
    if size < 29:
        short, rest = size, b""
    elif size < 29 + 256:
        short, rest = 29, bytes([size - 29])
    else:
        short, rest = 30, struct.pack(">H", size - 285)
    if kind < 8:
        return bytes([kind << 5 | short]) + rest
    return bytes([short, kind - 7]) + rest


def number(kind, value):
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return control(kind, len(data)) + data


def pointer(offset):
    if offset < 2048:
        return bytes([0b001_00_000 | offset >> 8, offset & 0xFF])
    offset -= 2048
    if offset < 1 << 19:
        return bytes([0b001_01_000 | offset >> 16, offset >> 8 & 0xFF, offset & 0xFF])
    offset -= 1 << 19
    return bytes([0b001_10_000 | offset >> 24]) + (offset & 0xFFFFFF).to_bytes(3, "big")


def bits_of(network):
    """The network's bits in the IPv6 tree; IPv4 lives at ::/96."""
    net = ipaddress.ip_network(network)
    value, prefix = int(net.network_address), net.prefixlen
    if net.version == 4:
        prefix += 96
    return [value >> (127 - i) & 1 for i in range(prefix)]


def database(database_type, description, rows, record_size, languages=("en",)):
    """The bytes of one database; `rows` are (network, record)."""
    data = DataSection()
    tree = [[None, None]]
    for network, record in rows:
        offset = data.add(record)
        node, bits = 0, bits_of(network)
        for bit in bits[:-1]:
            if tree[node][bit] is None:
                tree.append([None, None])
                tree[node][bit] = ("node", len(tree) - 1)
            kind, node = tree[node][bit]
            assert kind == "node", f"{network} lies inside another network"
        assert tree[node][bits[-1]] is None, f"{network} overlaps another network"
        tree[node][bits[-1]] = ("data", offset)

    count = len(tree)
    out = bytearray()
    for node in tree:
        left, right = (
            count if child is None else child[1] if child[0] == "node" else count + 16 + child[1] for child in node
        )
        if record_size == 32:
            out += struct.pack(">II", left, right)
        elif record_size == 24:
            out += left.to_bytes(3, "big") + right.to_bytes(3, "big")
        else:
            out += (left & 0xFFFFFF).to_bytes(3, "big") + bytes([left >> 24 << 4 | right >> 24]) + (right & 0xFFFFFF).to_bytes(3, "big")
    out += bytes(16) + data.out + b"\xab\xcd\xefMaxMind.com"
    out += DataSection(pointers=False).encode(
        {
            "binary_format_major_version": U16(2),
            "binary_format_minor_version": U16(0),
            "build_epoch": U64(BUILD_EPOCH),
            "database_type": database_type,
            "description": {"en": description},
            "ip_version": U16(6),
            "languages": list(languages),
            "node_count": count,
            "record_size": U16(record_size),
        }
    )
    return bytes(out)


def names(english):
    """A name in two languages, so that a reader which takes the first one is found out."""
    return {"de": f"{english} (de)", "en": english}


def country_record(place):
    continent_code, continent, country_code, country = PLACES[place][:4]
    return {
        "continent": {"code": continent_code, "names": names(continent)},
        "country": {"iso_code": country_code, "names": names(country)},
        "registered_country": {"iso_code": "US", "names": names("United States")},
    }


def city_record(place):
    *_, region_code, region, city, postal, zone, latitude, longitude = PLACES[place]
    record = country_record(place)
    if city:
        record["city"] = {"geoname_id": 1_000_000 + sorted(PLACES).index(place), "names": names(city)}
        record["location"] = {"accuracy_radius": U16(20), "latitude": latitude, "longitude": longitude, "time_zone": zone}
        record["postal"] = {"code": postal}
    if region:
        record["subdivisions"] = [{"iso_code": region_code, "names": names(region)}]
    return record


def main():
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data"
    directory.mkdir(parents=True, exist_ok=True)

    city = database("GeoLite2-City", "Test City database", [(n, city_record(p)) for n, p in NETWORKS], 28, ("de", "en"))
    country_rows = [(n, country_record(p)) for n, p in NETWORKS + COUNTRY_ONLY]
    asn_rows = [(n, {"autonomous_system_number": a, "autonomous_system_organization": o}) for n, a, o in SYSTEMS]
    anonymous_rows = [(n, {flag: True for flag in flags}) for n, flags in ANONYMIZERS]
    ipinfo = [("192.0.2.0/24", {"country": "NL", "country_name": "Netherlands", "continent": "EU", "continent_name": "Europe", "asn": "AS64496", "as_name": "Example Telecom B.V.", "as_domain": ""})]
    files = {
        "test-city.mmdb": city,
        "test-country.mmdb": database("GeoLite2-Country", "Test Country database", country_rows, 24, ("de", "en")),
        "test-asn.mmdb": database("GeoLite2-ASN", "Test ASN database", asn_rows, 24),
        "test-anonymous-ip.mmdb": database("GeoIP2-Anonymous-IP", "Test Anonymous IP database", anonymous_rows, 24),
        # Another publisher's layout.
        "test-ipinfo.mmdb": database("ipinfo generic_country_asn_free.mmdb", "Test IPinfo database", ipinfo, 32),
        # Deliberately bad: a download that stopped half-way, and a kind of database that is of no use here.
        "truncated.mmdb": city[: len(city) // 2],
        "wrong-type.mmdb": database("GeoIP2-Domain", "Test Domain database", [("192.0.2.0/24", {"domain": "example.net"})], 24),
    }
    for name, content in files.items():
        (directory / name).write_bytes(content)
        print(f"{directory / name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
