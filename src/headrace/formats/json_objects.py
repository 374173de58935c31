"""JSON objects as documents."""

from typing import Any, Final

import msgspec

decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
"""Decode bytes to a document; raises `msgspec.DecodeError` for anything but a JSON object."""

encode: Final = msgspec.json.Encoder().encode
"""Encode a document to bytes."""
