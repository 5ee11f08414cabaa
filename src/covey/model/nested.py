"""A nested draft: some layers of a model, trained so that the text can be read off at several depths (exits).

There are two kinds. A *standalone* draft begins as the first layers of its base, reads tokens, and serves any target of the
vocabulary (S2D). A *self* draft begins as the last layers; beside each token it reads the *gift*: the hidden state that the
target left one position before (as EAGLE does, arXiv 2401.15077), so that it need not work out anew what the target
knows; it serves its base alone.

All exits share one norm and one output matrix, which may know the frequent tokens only. The folder that it is saved in
holds no input embedding: that is the base model's, named in the configuration with its SHA-256. Knows nothing of data,
optimisers or of how a draft is made.

    draft = NestedDraft.of(load("smollm2", attention="sdpa"), layers=6, exits=(2, 4, 6), tokens=frequent)
    draft.save(Path("draft")); NestedDraft.load(Path("draft"), base)
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from covey.errors import CoveyError, UnsupportedError
from covey.model.deltas import WEIGHTS, Basis, merged_weights
from covey.model.load import LoadedModel

FORMAT = 2
KINDS = ("standalone", "self")
_KEY = "covey_nested"  # in config.json, beside what transformers knows of the layers
_EMBEDDING = "decoder.embed_tokens."


@dataclass(frozen=True)
class Calibration:
    """What `covey calibrate` found for one target.

    thresholds: one per exit but the last: how probable it must be that the choice there is right, else the next exit is asked.
    num_tokens: the longest draft that pays. confidence: for each exit, weights that make that probability of a choice's
    own probability and margin (drafters/confidence.py).
    """

    thresholds: tuple[float, ...]
    num_tokens: int
    confidence: tuple[tuple[float, ...], ...]

    @classmethod
    def from_json(cls, held: dict[str, Any]) -> Calibration:
        return cls(tuple(held["thresholds"]), int(held["num_tokens"]), tuple(tuple(each) for each in held["confidence"]))


@dataclass(frozen=True)
class NestedConfig:
    """What a nested draft is, beyond its layers.

    exits: depths at which tokens are read off, ascending, the last one all layers. vocab_size: of the base. base and
    embedding_sha256: the model whose input embedding is used. kind: see above. calibrations: by target. training: how it came
    about. basis: of a specialist, the draft that its deltas are added to (model/deltas.py).
    """

    exits: tuple[int, ...]
    vocab_size: int
    base: str
    embedding_sha256: str
    kind: str = "standalone"
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    basis: Basis | None = None
    format: int = FORMAT

    @classmethod
    def from_json(cls, held: dict[str, Any]) -> NestedConfig:
        """Raises KeyError, TypeError or ValueError for what is none."""
        calibrations = {target: Calibration.from_json(each) for target, each in held.pop("calibrations", {}).items()}
        basis = Basis(**held["basis"]) if held.get("basis") else None
        config = cls(**{**held, "exits": tuple(held["exits"]), "calibrations": calibrations, "basis": basis})
        if config.kind not in KINDS:
            raise ValueError(f"its kind is {config.kind!r}, not one of {', '.join(KINDS)}")
        for target, found in calibrations.items():
            if len(found.thresholds) != len(config.exits) - 1 or len(found.confidence) != len(config.exits):
                raise ValueError(f"the calibration for {target!r} does not have the draft's {len(config.exits)} exits")
        return config


class NestedDraft(nn.Module):
    """Layers with exits. tokens: the ids that the output matrix knows, ascending, int64 [N]. fuse: of a self draft, makes one
    input of a token's embedding and the gift."""

    tokens: Tensor

    def __init__(self, decoder: Any, norm: nn.Module, head: nn.Linear, tokens: Tensor, config: NestedConfig) -> None:
        super().__init__()
        decoder.norm = nn.Identity()  # an exit reads what a layer leaves; the shared norm comes behind every one of them
        self.decoder, self.norm, self.head, self.config = decoder, norm, head, config
        width = head.in_features
        self.fuse = nn.Linear(2 * width, width, bias=False, dtype=head.weight.dtype) if config.kind == "self" else None
        self.register_buffer("tokens", tokens)

    @classmethod
    def of(
        cls, base: LoadedModel, layers: int, exits: tuple[int, ...], tokens: list[int] | None = None, kind: str = "standalone"
    ) -> NestedDraft:
        """Layers of a model, its norm and the rows of its output matrix for `tokens` (None: all), all as they are.

        Raises CoveyError for exits that do not fit, UnsupportedError for a model whose layers cannot be taken apart.
        """
        if kind not in KINDS:
            raise CoveyError(f"kind={kind!r}: kind must be one of {', '.join(KINDS)}")
        if not exits or list(exits) != sorted(set(exits)) or exits[0] < 1 or exits[-1] != layers:
            raise CoveyError(f"exits={exits}: exits must ascend from at least 1 to the number of layers, {layers}")
        decoder: Any = base.model.get_decoder()
        _check_parts(base, decoder)
        if layers > len(decoder.layers):
            raise CoveyError(f"layers={layers}: {base.name!r} has {len(decoder.layers)} layers; take at most so many")
        numbers = range(layers) if kind == "standalone" else range(len(decoder.layers) - layers, len(decoder.layers))
        taken = _empty_decoder(_some_layers(base.config, numbers), base.dtype)
        taken.embed_tokens.load_state_dict(decoder.embed_tokens.state_dict())
        for mine, number in zip(taken.layers, numbers, strict=True):
            mine.load_state_dict(decoder.layers[number].state_dict())
        output = base.model.get_output_embeddings().weight
        kept = torch.arange(output.shape[0]) if tokens is None else torch.tensor(sorted(set(tokens)))
        head = nn.Linear(output.shape[1], len(kept), bias=False, dtype=base.dtype)
        head.weight.data.copy_(output[kept])
        config = NestedConfig(exits, output.shape[0], base.name, _digest(taken.embed_tokens.weight), kind)
        draft = cls(taken, copy.deepcopy(decoder.norm), head, kept, config).to(base.device)
        if draft.fuse is not None:
            half = torch.eye(head.in_features, dtype=base.dtype, device=base.device) / 2
            draft.fuse.weight.data.copy_(torch.cat([half, half], 1))  # the mean of embedding and gift, to begin with
        return draft.requires_grad_(True)

    def hidden_states(self, input_ids: Tensor, attention_mask: Tensor | None = None, gift: Tensor | None = None) -> list[Tensor]:
        """Normed hidden states at every exit: input_ids [B, T] -> for each exit [B, T, H].

        gift: of a self draft, at each position what the target left one before, [B, T, H].
        """
        out = self.decoder(
            inputs_embeds=self.embed(input_ids, gift), attention_mask=attention_mask, output_hidden_states=True, use_cache=False
        )
        return [self.norm(out.hidden_states[depth]) for depth in self.config.exits]

    def embed(self, input_ids: Tensor, gift: Tensor | None = None) -> Tensor:
        """What the first layer reads: input_ids [...] and, of a self draft, the gift [..., H] -> [..., H]."""
        embedded: Tensor = self.decoder.embed_tokens(input_ids)
        if self.fuse is None:
            return embedded
        assert gift is not None
        fused: Tensor = self.fuse(torch.cat([embedded, gift.to(embedded.dtype)], -1))
        return fused

    def positions(self, ids: Tensor) -> Tensor:
        """Where token ids stand in the output matrix, -1 for those that it does not know: any shape -> the same."""
        at = torch.searchsorted(self.tokens, ids.clamp(min=0)).clamp(max=len(self.tokens) - 1)
        return torch.where(self.tokens[at] == ids, at, -1)

    def save(self, folder: Path, dtype: torch.dtype = torch.bfloat16) -> None:
        """Write config.json and model.safetensors; the base's input embedding is left out."""
        self.save_config(folder)
        kept = {name: weight for name, weight in self.state_dict().items() if not name.startswith(_EMBEDDING)}
        weights = {name: (w.to(dtype) if w.is_floating_point() else w).contiguous() for name, w in kept.items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    def save_config(self, folder: Path) -> None:
        """Write config.json alone."""
        folder.mkdir(parents=True, exist_ok=True)
        layers = self.decoder.config.to_dict()
        layers.pop("_name_or_path", None)  # where the base lay on this machine is nobody's business
        _write_config(folder, {**layers, _KEY: asdict(self.config)})

    @classmethod
    def load(cls, folder: Path, base: LoadedModel, attention: str = "sdpa") -> NestedDraft:
        """Read a saved draft over its base, or over a model with the same input embedding. attention: see model.load.load.

        Raises CoveyError for a folder that is no whole nested draft, UnsupportedError for another base.
        """
        config, layers = read_config(folder)
        weights = merged_weights(folder, config.basis) if config.basis is not None else _read_weights(folder)
        decoder = _empty_decoder(layers, base.dtype, attention)
        embedding: Any = base.model.get_input_embeddings().weight
        if embedding.shape != decoder.embed_tokens.weight.shape or _digest(embedding) != config.embedding_sha256:
            raise UnsupportedError(
                f"nested draft {str(folder)!r}: it reads the input embedding of {config.base!r}, which is not that of {base.name!r}"
            )
        decoder.embed_tokens.weight.data.copy_(embedding)
        return cls._filled(folder, config, weights, decoder).to(base.device)

    @classmethod
    def beside(cls, folder: Path, other: NestedDraft, attention: str) -> NestedDraft:
        """Read a saved draft, no specialist, that reads the input embedding of another one, which is then held once.

        Raises CoveyError for a folder that is no whole nested draft.
        """
        config, layers = read_config(folder)
        embedding: Any = other.decoder.embed_tokens
        decoder = _empty_decoder(layers, embedding.weight.dtype, attention)
        decoder.embed_tokens = embedding
        return cls._filled(folder, config, _read_weights(folder), decoder).to(embedding.weight.device)

    @classmethod
    def _filled(cls, folder: Path, config: NestedConfig, weights: dict[str, Tensor], decoder: Any) -> NestedDraft:
        """A draft to be run, of a decoder that has its embedding and weights that have all else."""
        norm, dtype = copy.deepcopy(decoder.norm), decoder.embed_tokens.weight.dtype
        rows, width = weights["head.weight"].shape if "head.weight" in weights else (0, 0)
        draft = cls(decoder, norm, nn.Linear(width, rows, bias=False, dtype=dtype), torch.zeros(rows, dtype=torch.long), config)
        wrong = draft.load_state_dict(weights, strict=False)
        missing = [name for name in wrong.missing_keys if not name.startswith(_EMBEDDING)]
        if missing or wrong.unexpected_keys:
            raise CoveyError(
                f"nested draft {str(folder)!r}: its weights lack {missing} and have {wrong.unexpected_keys} beyond what its config says"
            )
        return draft.eval().requires_grad_(False)


def _read_weights(folder: Path) -> dict[str, Tensor]:
    try:
        return load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise CoveyError(f"nested draft {str(folder)!r}: cannot read {WEIGHTS} ({error}): train or copy it again") from None


def read_config(folder: Path) -> tuple[NestedConfig, Any]:
    """A saved draft's own configuration, and that of its layers. Raises CoveyError for a folder that has none."""
    try:
        described = json.loads((folder / "config.json").read_text("utf-8"))
        own = described.pop(_KEY)
        if own.get("format") != FORMAT:
            raise ValueError(f"its format is {own.get('format')!r}, not {FORMAT}: train it anew")
        config = NestedConfig.from_json(own)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoveyError(
            f"nested draft {str(folder)!r}: no config.json of a nested draft there ({error}); train one with covey train nested"
        ) from None
    return config, AutoConfig.for_model(**described)


def is_nested(folder: Path) -> bool:
    """Whether a saved nested draft is there, whole or not."""
    try:
        return _KEY in json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False


def add_calibration(folder: Path, target: str, found: Calibration) -> None:
    """Write what was calibrated for a target into a saved draft's configuration."""
    read_config(folder)
    described = json.loads((folder / "config.json").read_text("utf-8"))
    described[_KEY].setdefault("calibrations", {})[target] = asdict(found)
    _write_config(folder, described)


def _write_config(folder: Path, described: dict[str, Any]) -> None:
    place, partial = folder / "config.json", folder / ".config.json.partial"
    partial.write_text(json.dumps(described, indent=1, default=str) + "\n", "utf-8")
    partial.replace(place)


def _check_parts(base: LoadedModel, decoder: nn.Module) -> None:
    """Refuse, by name, a model whose layers cannot be run by themselves."""
    kinds = sorted(set(getattr(base.config, "layer_types", None) or []))
    if len(kinds) > 1:  # transformers finds a layer's kind by its number, which is another one in a part of the layers
        raise UnsupportedError(f"base {base.name!r}: layers of {len(kinds)} kinds ({', '.join(kinds)}) to take a draft from; name another")
    if not all(hasattr(decoder, part) for part in ("layers", "norm", "embed_tokens")):
        why = f"{type(decoder).__name__} has no layers, norm and embed_tokens to take a draft from"
        raise UnsupportedError(f"base {base.name!r}: {why}; name another")


def _some_layers(config: Any, numbers: range) -> Any:
    """The configuration of some of a model's layers."""
    shorter = copy.deepcopy(config)
    shorter.num_hidden_layers = len(numbers)
    if getattr(shorter, "layer_types", None):
        shorter.layer_types = [shorter.layer_types[number] for number in numbers]
    return shorter


def _empty_decoder(config: Any, dtype: torch.dtype, attention: str = "sdpa") -> Any:
    return AutoModel.from_config(config, dtype=dtype, attn_implementation=attention)


def _digest(embedding: Tensor) -> str:
    """SHA-256 of an embedding as bfloat16, so that the format that it was loaded in does not matter."""
    return hashlib.sha256(embedding.detach().to("cpu", torch.bfloat16).contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
