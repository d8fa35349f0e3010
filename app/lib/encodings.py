"""Says what bytes are that should be JSON in UTF-8 and are not."""

BEGINNINGS = (
    (b"\x1f\x8b", "is compressed with gzip; send it uncompressed"),
    (b"PK\x03\x04", "is a ZIP archive or an Office file; send plain text in UTF-8"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; send it uncompressed"),
    (b"BZh91AY&SY", "is compressed with bzip2; send it uncompressed"),
    (b"\xfd7zXZ\x00", "is compressed with xz; send it uncompressed"),
    (b"\xff\xfe\x00\x00", "is in UTF-32; send it in UTF-8"),
    (b"\x00\x00\xfe\xff", "is in UTF-32; send it in UTF-8"),
    (b"\xff\xfe", "is in UTF-16; send it in UTF-8"),
    (b"\xfe\xff", "is in UTF-16; send it in UTF-8"),
)
# What JSON begins with, as two of these encodings write it. Splitting at newline bytes leaves NULs before it.
OPENINGS = (b"{", b"[", b'"')


def described(data: bytes) -> str | None:
    """What `data` is (`is in UTF-16; ...`) if it is not text in UTF-8, otherwise None."""
    for beginning, text in BEGINNINGS:
        if data.startswith(beginning):
            return text
    if b"\0" in data:
        start = data.lstrip(b"\0")
        if start.startswith(OPENINGS) and start[1:4] == b"\0\0\0":
            return "is in UTF-32; send it in UTF-8"
        if start.startswith(OPENINGS) and start[1:2] == b"\0":
            return "is in UTF-16; send it in UTF-8"
        return f"has a NUL byte at position {data.index(0)}; send text in UTF-8"
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"is not in UTF-8 (the byte at position {error.start} is 0x{data[error.start]:02X}); send it in UTF-8"
    return None
