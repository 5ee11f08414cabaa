"""What deploy/ holds fits what is there: files, options, units."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from covey.config import all_options

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"


def test_the_image_is_made_of_what_is_there_and_is_let_through():
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", dockerfile, re.M) for name in line.split()}
    let_through = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.M))
    assert copied == let_through and all((ROOT / name).exists() for name in copied)


def test_the_image_starts_a_server_with_options_that_it_has():
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", (DEPLOY / "Dockerfile").read_text(), re.M)
    flags = {part for part in json.loads(entry) if part.startswith("--")}
    assert flags and flags <= {option.flag for option in all_options().values()}
    assert json.loads(entry)[:2] == ["covey", "serve"]


def test_the_unit_is_one_that_systemd_takes(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    text = (DEPLOY / "covey.service").read_text()
    unit = tmp_path / "covey.service"
    unit.write_text(text.replace("/opt/covey/.venv/bin/covey", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
