"""`covey doctor`: which target and drafters fit together on this machine, and why not.

covey doctor --target smollm2 --drafters suffix,model:other
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from covey.cli import screen
from covey.config import Settings, all_options
from covey.errors import CoveyError

_OWN = ("collective_state", "trace")  # nothing is served
SETTINGS = tuple(option.name for option in all_options().values() if option.group in ("model", "engine") and option.name not in _OWN)


def doctor(
    json_document: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
    *,
    settings: Settings,
) -> None:
    """Examine this machine, the target, the drafters and the memory plan. No weights are loaded."""
    from covey.cli.examination import examine

    with screen.err().status("examining ..."):
        report = examine(settings)
    if json_document:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        _show(screen.out(), report)
    if report["problems"]:
        raise CoveyError("; ".join(report["problems"]))


def _show(console: Console, report: dict[str, Any]) -> None:
    machine, target, memory = report["machine"], report["target"], report["memory"]
    console.print("Machine", style="bold")
    console.print(
        f"  {machine['cpu']}; {machine['cores']} cores, {machine['usable_threads']} usable threads, torch uses {machine['torch_threads']}"
    )
    console.print(f"  instruction sets that matter: {', '.join(machine['instruction_sets']) or 'none found'}")
    console.print(f"  memory: {machine['memory_gib']} GiB, {machine['free_gib']} GiB of it free")
    console.print(f"  GPU: {', '.join(machine['gpus']) or 'none'}")
    console.print(f"  C++ compiler (for --compile): {machine['compiler'] or 'none found'}")
    console.print(f"  {', '.join(f'{name} {version}' for name, version in report['versions'].items() if version)}")
    if report["settings"]:
        console.print("Settings that are not defaults", style="bold")
        for name, held in report["settings"].items():
            console.print(f"  {name} = {held['value']} (from {held['from']})")
    console.print("Target", style="bold")
    console.print(f"  {_verdict(target)}")
    if target["fits"]:
        facts = target["model"]
        console.print(
            f"      {facts['kind']}, {facts['layers']} layers, {facts['parameters']:,} parameters, vocabulary of {facts['vocab_size']:,}"
        )
        console.print(f"      {facts['dtype']} on {facts['device']}, up to {facts['max_model_len']:,} tokens")
    console.print("Drafters", style="bold")
    for drafter in report["drafters"]:
        console.print(f"  {_verdict(drafter)}")
    console.print("Memory", style="bold")
    console.print("  " + (memory["plan"] if memory["fits"] else f"does not fit: {memory['why']}").replace("\n", "\n  "))


def _verdict(held: dict[str, Any]) -> str:
    return f"ok  {held['name']}" if held["fits"] else f"NO  {held['name']}: {held['why']}"
