"""The head of a request while it arrives, up to the empty line that ends it."""

import re

END = b"\r\n\r\n"
# More than a request line of 8 KiB, cookies and every header that an SDK or a proxy adds.
MAX_HEAD_BYTES = 64 * 1024
_BARE_LF = re.compile(rb"(?<!\r)\n")


class Head:
    """Collects a head. The bytes after it are the beginning of the body, or the next request."""

    __slots__ = ("_searched", "data", "is_complete")

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray()
        self.is_complete = False
        self._searched = 0
        self.add(data)

    @property
    def is_too_long(self) -> bool:
        return not self.is_complete and len(self.data) > MAX_HEAD_BYTES

    def add(self, data: bytes) -> None:
        """Append. `is_complete` then says whether the parser can judge the head without more bytes.

        It can as soon as a line ends without CR, which it rejects.
        """
        self.data += data
        # The last three bytes may begin the end that the next bytes complete.
        begin = max(self._searched - len(END) + 1, 0)
        self.is_complete = self.data.find(END, begin) >= 0 or _BARE_LF.search(self.data, begin) is not None
        self._searched = len(self.data)
