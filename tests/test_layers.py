"""The import layers: a module imports only from layers below its own, and some packages have one owner."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import covey

ROOT = Path(covey.__file__).parent

# From the bottom to the top. Names of one layer do not import each other; inside a package everything may.
LAYERS = (
    ("errors", "sampling_params"),
    ("types",),
    ("config", "cost", "charge", "survival", "state"),
    ("noise", "accept", "vote", "weights", "kinship", "control", "rows", "prompts", "loops", "provenance", "tools"),
    ("model", "replay"),
    ("toy", "drafters"),
    ("pipeline",),
    ("engine",),
    ("llm",),
    ("train", "calibrate", "plot", "bench", "store", "advise", "server", "vllm_plugin"),
    ("cli",),
    ("__main__",),
)
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
# Third-party packages that only one part of covey may import.
OWNERS = {
    "transformers": {"model", "train"},
    "peft": {"train"},
    "fastapi": {"server"},
    "starlette": {"server"},
    "uvicorn": {"server"},
    "pydantic": {"server"},
    "prometheus_client": {"server"},
    "vllm": {"vllm_plugin"},
    "llguidance": {"model"},
    "xllamacpp": {"bench"},
    "typer": {"cli"},
    "click": {"cli"},
}
ABOVE_ALL = "covey"  # src/covey/__init__.py may import from anywhere: it is what users import


@dataclass(frozen=True)
class Import:
    """One imported module, as "covey.model.load" or "transformers", and where."""

    file: Path
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"

    @property
    def importer(self) -> str:
        """The part of covey that the file belongs to."""
        return ABOVE_ALL if self.file == Path("__init__.py") else self.file.parts[0].removesuffix(".py")


def imports_in(file: Path, source: str) -> Iterator[Import]:
    """Every import, also those inside functions and under TYPE_CHECKING. `from covey import x` counts as covey.x."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: import by full name, not relatively"
            names = [f"covey.{alias.name}" for alias in node.names] if node.module == "covey" else [str(node.module)]
        else:
            continue
        yield from (Import(file, node.lineno, name) for name in names)


def wrong_layers(found: Import) -> str | None:
    parts = found.module.split(".")
    if parts[0] != "covey" or len(parts) == 1 or found.importer == ABOVE_ALL or parts[1] == found.importer:
        return None
    if parts[1] not in HEIGHT:  # a name of the package itself, such as covey.LLM or covey.__version__
        return None if parts[1] == "__version__" else f"{found}: take names from the module that defines them"
    if HEIGHT[parts[1]] >= HEIGHT[found.importer]:
        return f"{found}: {found.importer} is in layer {HEIGHT[found.importer] + 1}, {parts[1]} in layer {HEIGHT[parts[1]] + 1}"
    return None


def wrong_owner(found: Import) -> str | None:
    owners = OWNERS.get(found.module.split(".")[0])
    return None if owners is None or found.importer in owners else f"{found}: only {', '.join(sorted(owners))} may"


def forbidden_uses(file: Path, source: str) -> Iterator[str]:
    """Calls of print, pickle, and reads of the environment outside of config."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{file}:{node.lineno} calls print"
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv") and file.parts[0] != "config":
            yield f"{file}:{node.lineno} touches os.{node.attr}: only covey.config may"
        if isinstance(node, ast.keyword) and node.arg == "trust_remote_code" and getattr(node.value, "value", True) is not False:
            yield f"{file}:{node.value.lineno} may trust remote code"


FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def test_every_module_has_a_layer() -> None:
    parts = {file.parts[0].removesuffix(".py") for file in FILES} - {"__init__"}
    assert parts <= HEIGHT.keys(), f"no layer is given for {sorted(parts - HEIGHT.keys())}"


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_go_downwards_and_owners_are_respected(file: Path) -> None:
    source = (ROOT / file).read_text(encoding="utf-8")
    wrong = [why for found in imports_in(file, source) for why in (wrong_layers(found), wrong_owner(found)) if why]
    wrong += [f"{found}: pickles are not read here" for found in imports_in(file, source) if found.module in ("pickle", "dill", "joblib")]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_library_does_not_print_nor_read_the_environment(file: Path) -> None:
    wrong = list(forbidden_uses(file, (ROOT / file).read_text(encoding="utf-8")))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("file", "source", "message"),
    [
        ("rows.py", "from covey.model.load import load", "rows.py:1 imports covey.model.load: rows is in layer 4, model in layer 5"),
        ("accept.py", "def f():\n    import covey.noise", "accept.py:2 imports covey.noise: accept is in layer 4, noise in layer 4"),
        ("toy.py", "from covey import LLM", "toy.py:1 imports covey.LLM: take names from the module that defines them"),
        ("engine/engine.py", "from covey import llm", "engine/engine.py:1 imports covey.llm: engine is in layer 8, llm in layer 9"),
    ],
)
def test_the_rule_names_an_import_that_goes_upwards(file: str, source: str, message: str) -> None:
    assert [wrong_layers(found) for found in imports_in(Path(file), source)] == [message]


def test_the_rule_names_an_import_that_another_part_owns() -> None:
    (found,) = imports_in(Path("engine/x.py"), "import transformers.utils")
    assert wrong_owner(found) == "engine/x.py:1 imports transformers.utils: only model, train may"


def test_the_rule_names_print_environment_and_remote_code() -> None:
    source = "import os\nprint(1)\nos.getenv('A')\nload(trust_remote_code=flag)\n"
    assert sorted(forbidden_uses(Path("llm.py"), source)) == [
        "llm.py:2 calls print",
        "llm.py:3 touches os.getenv: only covey.config may",
        "llm.py:4 may trust remote code",
    ]
