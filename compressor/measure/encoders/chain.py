"""From the tokens of a text to one vector, as a checkpoint means it: what its JSON files say.

A sentence-transformers folder lists a chain of modules in `modules.json`; this reads the chain of
an encoder, a pooling and a normalisation. Without one, the mean over tokens is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar, final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from compressor.errors import InputError, listing, printable
from compressor.measure.encoders.pooling import Mode

T = TypeVar("T")
Modes: TypeAlias = tuple[Mode, ...]

_CHAINS: Final = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
_SUB_FOLDER: Final = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,199})?")


@final
@dataclass(frozen=True)
class Chain:
    """How the states of an encoder become an embedding, and where that was read."""

    folder: Path
    """Where the encoder and its tokenizer lie: the checkpoint's folder, or one inside it."""
    modes: Modes
    """Poolings, whose results stand side by side."""
    is_normalised: bool
    origin: str
    lowers_case: bool = False
    """Whether texts are lower-cased before the tokenizer sees them."""
    max_length: int | None = None
    """Tokens that the checkpoint was made to read; None: as many as the encoder takes."""
    prompts: tuple[str, ...] = ()
    """Names of prefixes that it has for some uses; none of them is put before a text."""

    def __str__(self) -> str:
        pooling = " and ".join(self.modes)
        return f"{pooling} pooling, {'normalised' if self.is_normalised else 'not normalised'}"


class _Read(BaseModel):
    """Keys that matter; a file may have others."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Module(_Read):
    path: str
    type: str


class _Pooling(_Read):
    """One mode or several by name, or, in older files, a switch for each."""

    pooling_mode: Mode | Modes | None = None
    pooling_mode_cls_token: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False
    pooling_mode_lasttoken: bool = False

    @property
    def modes(self) -> Modes:
        """In the order in which sentence-transformers puts their results side by side."""
        if self.pooling_mode is not None:
            named = self.pooling_mode
            return (named,) if isinstance(named, str) else named
        switches: Sequence[tuple[Mode, bool]] = (
            ("cls", self.pooling_mode_cls_token),
            ("max", self.pooling_mode_max_tokens),
            ("mean", self.pooling_mode_mean_tokens),
            ("mean_sqrt_len_tokens", self.pooling_mode_mean_sqrt_len_tokens),
            ("weightedmean", self.pooling_mode_weightedmean_tokens),
            ("lasttoken", self.pooling_mode_lasttoken),
        )
        return tuple(mode for mode, is_on in switches if is_on) or ("mean",)


class _Encoder(_Read):
    max_seq_length: int | None = None
    do_lower_case: bool = False


class _Prompts(_Read):
    prompts: dict[str, str | None] = {}


def read_chain(folder: Path) -> Chain:
    """The chain of the checkpoint in `folder`; a module that is not known is an error."""
    if not (folder / "modules.json").is_file():
        return Chain(folder, ("mean",), False, "assumed")
    modules = _parsed(folder / "modules.json", list[_Module])
    kinds = [
        module.type.rpartition(".")[2]
        if module.type.startswith("sentence_transformers.")
        else module.type
        for module in modules
    ]
    strange = [module.path for module in modules if not _SUB_FOLDER.fullmatch(module.path)]
    if kinds not in _CHAINS or strange:
        raise InputError(
            "CHAIN-MODULES",
            "the chain of modules is not one whose embeddings can be measured here",
            at=f"{folder.name}/modules.json",
            found=f"{listing([*kinds, *strange])}; expected Transformer, Pooling and perhaps "
            "Normalize, each in a folder of its own",
            do="measure the encoder alone: copy its folder without modules.json",
        )
    encoder_folder = folder / modules[0].path
    # Each kind of encoder once had a file name of its own: sentence_roberta_config.json.
    named = sorted(encoder_folder.glob("sentence_*_config.json"))
    encoder = _parsed(named[0], _Encoder) if named else _Encoder()
    prompts = folder / "config_sentence_transformers.json"
    known = _parsed(prompts, _Prompts).prompts if prompts.is_file() else {}
    return Chain(
        encoder_folder,
        _parsed(folder / modules[1].path / "config.json", _Pooling).modes,
        "Normalize" in kinds,
        f"{modules[1].path}/config.json",
        encoder.do_lower_case,
        encoder.max_seq_length,
        tuple(name for name, prompt in known.items() if prompt),
    )


def _parsed(path: Path, expected: type[T]) -> T:
    adapter: TypeAdapter[T] = TypeAdapter[Any](expected)
    try:
        return adapter.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        found = f"{place}: {first['msg']}" if place else first["msg"]
    except OSError as error:
        found = error.strerror or "an error of the file system"
    raise InputError(
        "CONFIG-UNREADABLE",
        "a file that says how texts become embeddings cannot be read",
        at=f"{path.parent.name}/{path.name}",
        found=f"{printable(found)}; expected JSON as sentence-transformers writes it",
        do=f"fetch {path.name} again from the model's provider",
    )
