"""What a file that is not safetensors looks like: its first bytes say whether it is a pickle."""

from __future__ import annotations

import re
from typing import Final

from compressor.errors import CompressorError, InputError, RefusedError, printable

HEAD_BYTES: Final = 512
"""How many bytes from the start of a file decide."""

_PICKLES: Final = (
    (re.compile(rb"PK\x03\x04|PK\x05\x06"), "a zip archive, as torch.save writes"),
    (re.compile(rb"\x80[\x00-\x05]"), "a pickle"),
    (re.compile(rb"c[\w.]+\n[\w.]+\n|\([dlc(]|[\]}]q"), "a pickle"),
    (re.compile(rb"\x1f\x8b"), "gzip data"),
    (re.compile(rb".{257}ustar", re.DOTALL), "a tar archive"),
)
_OTHERS: Final = (
    (re.compile(rb"version https://git-lfs"), "a git-LFS pointer: the file itself was not fetched"),
    (re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE), "an HTML page"),
    (re.compile(rb"\s*<(\?xml|[a-zA-Z])"), "an XML document"),
    (re.compile(rb"GGUF"), "a GGUF model"),
    (re.compile(rb"\x89HDF"), "an HDF5 file"),
    (re.compile(rb"\x93NUMPY"), "a NumPy array"),
    (re.compile(rb"\s*[{\[]"), "a JSON text"),
)


def not_safetensors(head: bytes, name: str) -> CompressorError | None:
    """The error for a file that begins like another format, where it does."""
    for pattern, kind in _PICKLES:
        if pattern.match(head):
            return RefusedError(
                "PICKLE-DISGUISED",
                "a file named as safetensors is a container of pickles, which can run code",
                at=name,
                found=f"{kind}, expected safetensors",
                do="do not load it; fetch the safetensors file from its provider",
            )
    for pattern, kind in _OTHERS:
        if pattern.match(head):
            return InputError(
                "CKPT-NOT-A-MODEL",
                "a file named as safetensors is something else",
                at=name,
                found=f"{kind}, beginning `{printable(head[:24].decode('utf-8', 'replace'))}`",
                do="fetch the weight file again",
            )
    return None
