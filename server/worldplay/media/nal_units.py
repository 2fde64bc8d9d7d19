"""Turns H.264 with start codes (Annex B), as hardware encodes it, into what MP4 holds (ISO 14496-15)."""

import re
import struct

SPS, PPS, DELIMITER = 7, 8, 9
_START_CODE = re.compile(rb"\x00*\x00\x00\x01")
_HIGH_PROFILES = {100, 110, 122, 144}
_CHROMA_420_OF_8_BITS = bytes([0xFD, 0xF8, 0xF8, 0])  # and no extensions of an SPS


def split_units(data: bytes) -> list[bytes]:
    """Split a stream at its start codes."""
    return [unit.rstrip(b"\0") for unit in _START_CODE.split(data) if unit]


def prefix_lengths(data: bytes) -> bytes:
    """Replace start codes by lengths; parameter sets and delimiters are left out."""
    kept = [unit for unit in split_units(data) if unit[0] & 31 not in (SPS, PPS, DELIMITER)]
    return b"".join(struct.pack(">L", len(unit)) + unit for unit in kept)


def make_avcc(parameter_sets: bytes) -> bytes:
    """Make the AVCDecoderConfigurationRecord of an SPS and a PPS with start codes.

    Raises: ValueError if one of them is missing.
    """
    units = {unit[0] & 31: unit for unit in split_units(parameter_sets)}
    if SPS not in units or PPS not in units:
        raise ValueError(f"expected an SPS and a PPS, got units of types {sorted(units)}")
    sps, pps = units[SPS], units[PPS]
    head = bytes([1, *sps[1:4], 0xFF, 0xE1])  # lengths of four bytes, one SPS
    record = head + struct.pack(">H", len(sps)) + sps + b"\1" + struct.pack(">H", len(pps)) + pps
    return record + (_CHROMA_420_OF_8_BITS if sps[1] in _HIGH_PROFILES else b"")
