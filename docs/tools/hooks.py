"""Pages and parts of pages that MkDocs takes from the code, so that they cannot go stale.

`<!-- readme: HEADING -->` becomes that section of README.md, `<!-- table: NAME -->` a table of
TABLES; the page commands.md is made of every command's `--help`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).parents[2]
_WIDTH = 88


def on_files(files: Any, config: Any) -> Any:
    """MkDocs: adds the page of all commands."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "commands.md", content=commands_page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs: fills in what a page takes from elsewhere."""
    return fill_in(markdown)


def fill_in(markdown: str) -> str:
    """A page with its marks replaced; KeyError for one that names nothing."""
    markdown = re.sub(r"<!-- readme: (.+?) -->", lambda m: readme_section(m[1]), markdown)
    return re.sub(r"<!-- table: (.+?) -->", lambda m: TABLES[m[1]](), markdown)


def readme_section(heading: str) -> str:
    """The text under a heading of README.md, its links to files left out."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    return re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]+\)", r"\1", sections[heading]).strip()


def commands() -> dict[str, str]:
    """Every command of `recon` with the first line of its help."""
    from recon.cli import Command

    out = {}
    for choice in get_args(Command):
        command, subcommand = get_args(choice)[:2]
        out[subcommand.name] = (command.__doc__ or "").splitlines()[0]
    return out


def help_texts(names: Iterable[str]) -> dict[str, str]:
    """What `recon NAME --help` prints, for every name, on a terminal of 88 columns."""
    plain = {"COLUMNS": str(_WIDTH), "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", _PRINT_ALL, *names],
        capture_output=True, text=True, encoding="utf-8", check=True, cwd=ROOT,
        env={**os.environ, **plain},
    )  # fmt: skip
    return dict(zip(names, done.stdout.split("\f"), strict=False))


_PRINT_ALL = """
import sys
from recon.cli import main
for name in sys.argv[1:]:
    try:
        main([name, "--help"])
    except SystemExit:
        print(end="\f")
"""


def commands_page() -> str:
    """One section for every command."""
    names = commands()
    rows = ((f"[recon {name}](#recon-{name})", line) for name, line in names.items())
    head = "# Commands\n\nEach also prints its flags with `--help`.\n\n"
    sections = (
        f"## recon {name}\n\n```text\n{text.strip()}\n```\n"
        for name, text in help_texts(names).items()
    )
    return head + _table(("command", ""), rows) + "\n\n" + "\n".join(sections)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [list(head), *(list(row) for row in rows)]
    cells.insert(1, ["---"] * len(cells[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def _formats() -> str:
    from recon.export import EXPORTERS

    rows = (
        (f"`{name}`", entry.writes, " ".join(f"`--{choice}`" for choice in entry.choices))
        for name, entry in EXPORTERS.items()
    )
    return _table(("format", "what it holds", "choices"), rows)


def _networks() -> str:
    from recon.core.networks import NETWORKS

    rows = (
        (f"`{n.name}`", n.purpose, f"{n.size / 1e6:.1f} MB", n.licence, n.package.spec)
        for n in NETWORKS.values()
    )
    return _table(("network", "what for", "size", "licence", "from"), rows)


def _extras() -> str:
    from recon.doctor_packages import read_requirements

    extras: dict[str, list[str]] = {}
    for requirement in read_requirements():
        for extra in requirement.extras:
            extras.setdefault(extra, []).append(f"`{requirement.asked}`")
    return _table(("extra", "packages"), ((f"`{e}`", ", ".join(p)) for e, p in extras.items()))


TABLES: dict[str, Callable[[], str]] = {
    "formats": _formats,
    "networks": _networks,
    "extras": _extras,
}
