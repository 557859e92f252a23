"""Small colour profiles (ICC.1:2010), each made of a header and a few tags."""

import struct

SRGB = {"r": (0.4360, 0.2225, 0.0139), "g": (0.3851, 0.7169, 0.0971), "b": (0.1431, 0.0606, 0.7139)}  # XYZ at D50
P3 = {"r": (0.5151, 0.2412, -0.0011), "g": (0.2920, 0.6922, 0.0419), "b": (0.1571, 0.0666, 0.7841)}
WHITE = (0.9642, 1.0, 0.8249)


def fixed(*numbers: float) -> bytes:
    """Return s15Fixed16 numbers."""
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


def profile(space: bytes, connection: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return a profile of a colour space, its connection space and class."""
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, at + len(body), len(data))
        body += data
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s12s4s28s", size, b"", 0x02400000, kind, space, connection, b"", b"acsp", b"")
    return head + fixed(*WHITE) + bytes(128 - len(head) - 12) + struct.pack(">I", len(tags)) + table + body


def xyz(*values: float) -> bytes:
    """Return the data of a tag that holds a colour."""
    return b"XYZ " + bytes(4) + fixed(*values)


def gamma(power: float) -> bytes:
    """Return the data of a tag that holds a curve."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(power * 256))


def rgb_profile(primaries: dict[str, tuple[float, float, float]], power: float = 2.2) -> bytes:
    """Return a profile of a screen."""
    colors = {f"{name}XYZ".encode(): xyz(*color) for name, color in primaries.items()}
    curves = {f"{name}TRC".encode(): gamma(power) for name in primaries}
    return profile(b"RGB ", b"XYZ ", b"mntr", {b"wtpt": xyz(*WHITE), **colors, **curves})


def gray_profile(power: float) -> bytes:
    """Return a profile of grey values."""
    return profile(b"GRAY", b"XYZ ", b"mntr", {b"wtpt": xyz(*WHITE), b"kTRC": gamma(power)})


def ink_profile(labs: list[tuple[int, int, int]]) -> bytes:
    """Return a profile of CMYK inks that prints each of their 16 mixtures, black fastest, as a Lab colour in 8 bits."""
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + 4 * ramp
    return profile(b"CMYK", b"Lab ", b"prtr", {b"A2B0": table + bytes(sum(labs, ())) + 3 * ramp, b"wtpt": xyz(*WHITE)})
