"""One case of the file, and the encodings it is written in."""

from __future__ import annotations

from collections.abc import Iterator

from tools.vectors.curve import G, Point, finite, scalar, some_signature, times

Case = dict[str, object]


def octets(value: int, length: int = 32) -> bytes:
    """Return ``value`` big-endian."""
    return value.to_bytes(length, "big")


def compressed(point: Point) -> bytes:
    """Return the 33 octets 02|03‖x."""
    return bytes([2 + point[1] % 2]) + octets(point[0])


def xy(x: int, y: int) -> bytes:
    """Return 04‖x‖y for any two numbers."""
    return b"\x04" + octets(x) + octets(y)


def uncompressed(point: Point) -> bytes:
    """Return the 65 octets 04‖x‖y."""
    return xy(*point)


def digits(value: int) -> bytes:
    """Return the content of a DER INTEGER."""
    length = value.bit_length() // 8 + 1
    return value.to_bytes(length, "big", signed=True)


def item(content: bytes, tag: int = 0x02, length: bytes | None = None) -> bytes:
    """Return tag, length and content; a wrong length is given as its octets."""
    if length is None:
        size = len(content)
        length = bytes([size]) if size < 0x80 else bytes([0x81, size])
    return bytes([tag]) + length + content


def der(r: int, s: int) -> bytes:
    """Return the DER form of (r, s)."""
    return item(item(digits(r)) + item(digits(s)), 0x30)


KEY = finite(times(scalar("the key"), G))
H, R, S = some_signature("the signature", KEY)


def case(
    name: str,
    why: str,
    form: str,
    signature: bytes,
    *,
    key: bytes | None = None,
    digest: bytes | None = None,
    valid: bool = False,
) -> Case:
    """Return one row of the file."""
    return {
        "name": name,
        "why": why,
        "public_key": (compressed(KEY) if key is None else key).hex(),
        "digest": (octets(H) if digest is None else digest).hex(),
        "form": form,
        "signature": signature.hex(),
        "valid": valid,
    }


def both_forms(
    name: str, why: str, key: Point, h: int, r: int, s: int, *, valid: bool = False
) -> Iterator[Case]:
    """Yield (r, s) in both forms; the compact one only if it can hold them."""
    where = {"key": compressed(key), "digest": octets(h)}
    yield case(f"{name}, der", why, "der", der(r, s), valid=valid, **where)
    if 0 <= r < 2**256 and 0 <= s < 2**256:
        both = octets(r) + octets(s)
        yield case(f"{name}, compact", why, "compact", both, valid=valid, **where)
