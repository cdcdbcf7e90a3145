"""What documents and comments name is there: pages, headings, files, keys, metrics, options."""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from pathlib import Path

import pytest

from supervisor.errors import ExitCode
from supervisor.settings import Settings

ROOT = Path(__file__).parents[3]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")]
CODE = ["streamer", "monitor", "supervisor", "simulator", "scripts", "benchmarks", "deploy"]
SOURCES = [
    path
    for directory in CODE
    for path in (ROOT / directory).rglob("*")
    if path.is_file() and path.suffix in {"", ".py", ".toml", ".yml", ".yaml", ".service"}
]
FENCE = re.compile(r"(?ms)^( *)```.*?^\1```$")
LINK = re.compile(r"\]\(([^)#\s:]*)(?:#([^)\s]+))?\)")
PAGE = re.compile(r"\b((?:docs|deploy)/[\w./-]+\.md)(?:#([\w-]+))?")
IN_BACKTICKS = re.compile(r"`((?:docs|deploy|scripts|tests)/[\w./-]+)`")
SECTIONS = {
    section: {key.name for key in dataclasses.fields(field.annotation)}
    for section, field in Settings.model_fields.items()
    if dataclasses.is_dataclass(field.annotation)
}
KEY = re.compile(rf"`({'|'.join(SECTIONS)})\.(?!(?:py|json|log|toml)\b)([a-z_]+)\b")
VARIABLE = re.compile(r"\bVIGIL_([A-Z]+(?:_[A-Z]+)*?)__([A-Z_]+?)(?:__|=|\b)")
METRIC = re.compile(r"`((?:binance|vigil|kafka|process|serializer|memory)_[a-z_]+)(?:\{[^`]*)?`")
COMMAND = re.compile(
    # `vigil` where it is no part of a path, nor the unit of systemd's own commands
    r"(?:(?<!--unit )(?<!-u )(?<![\w/:.-])vigil"
    r"|-m (?P<module>[a-z_.]+)|\bscripts/(?P<script>[a-z]+))"
    r"(?P<words>(?: [^`\n#|;']+)?)"
)
OPTION = re.compile(r"(?<=\s)--[a-z][a-z-]*")
PARSED_IN = {  # where the options of a program are told, beside the module of its command
    "supervisor": ("supervisor/command_line.py", "supervisor/control_client.py"),
    "streamer": ("streamer/run.py", "streamer/__main__.py", "streamer/sink_command.py"),
    "simulator": ("simulator/settings.py",),
    "kafka": ("scripts/kafka_tool/command_line.py",),
    "faults": ("tests/campaign.py", "tests/cluster_campaign.py"),
    "drill": ("tests/drill.py",),
    "bench": ("benchmarks/__main__.py",),
}
ANOTHERS = {"venv", "pip", "pytest", "http.server", "fastavro"}
NO_METRICS = {"memory_samples", "memory_parts"}  # keys of the profile
NO_KEYS = {  # modules, whose names are dotted as well
    *("monitor.leak", "monitor.memory_parts"),
    *("group.instance", "group.protocol"),  # librdkafka's, with more dots
    "exchange.environment_proxies",  # shown by `vigil config`, and only there
}


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def anchors(page: Path) -> set[str]:
    """Return what a link may name behind `#`, as GitHub makes it of headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", FENCE.sub("", page.read_text()))
    texts = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_to_pages_and_headings(page: Path) -> None:
    for target, anchor in LINK.findall(FENCE.sub("", page.read_text())):
        found = (page.parent / target) if target else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), f"{target}#{anchor}"


def test_pages_that_anything_else_names_are_there() -> None:
    named = 0
    for source in (*SOURCES, *PAGES):
        for page, anchor in PAGE.findall(source.read_text()):
            named += 1
            assert (ROOT / page).exists(), f"{shown(source)}: {page}"
            assert not anchor or anchor in anchors(ROOT / page), f"{shown(source)}: {page}#{anchor}"
    assert named > 100


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_files_keys_variables_and_metrics_are_there(page: Path) -> None:
    text = page.read_text()
    for path in IN_BACKTICKS.findall(text):
        assert (ROOT / path).exists(), path
    for section, key in KEY.findall(text):
        known = key in SECTIONS[section] or f"{section}.{key}" in NO_KEYS
        assert known or (ROOT / section / f"{key}.py").exists(), f"{section}.{key}"
    for section, key in VARIABLE.findall(text):
        if section != "SECTION":
            assert key.lower() in SECTIONS[section.lower()], f"VIGIL_{section}__{key}"
    for metric in METRIC.findall(text):
        assert metric in NO_METRICS or is_exported(metric), metric


def is_exported(metric: str) -> bool:
    """Return whether the code names it, apart from what Prometheus adds to it."""
    plain = re.sub(r"_(?:total|bucket|sum|count)$", "", metric)
    return f'"{metric}"' in exporters() or f'"{plain}"' in exporters()


@cache
def exporters() -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / "monitor").rglob("*.py")))


def test_the_exit_codes_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "rules.md").read_text().split("## Exit codes")[1]
    listed = [
        int(code) for row in re.findall(r"(?m)^\| ([\d, ]+) \|", text) for code in row.split(",")
    ]
    assert sorted(listed) == sorted(ExitCode)


def options_of(program: str, command: str) -> str:
    """Return the source of what parses the options of a command."""
    paths = [ROOT / path for path in PARSED_IN.get(program, ())]
    paths += [ROOT / "scripts" / program, ROOT / f"{program.replace('.', '/')}.py"]
    paths += [ROOT / program.replace(".", "/") / "__main__.py"]
    paths += [ROOT / "supervisor" / "commands" / f"{command}.py"]
    paths += (ROOT / "streamer" / command).glob("*.py") if command else []
    return "\n".join(path.read_text() for path in paths if path.is_file())


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_commands_take_the_options_that_are_shown(page: Path) -> None:
    for match in COMMAND.finditer(page.read_text().replace("\\\n", "")):
        program = match["module"] or match["script"] or "supervisor"
        options = OPTION.findall(match["words"])
        if program in ANOTHERS or not options:
            continue
        commands = [word for word in match["words"].split() if re.fullmatch("[a-z]+", word)]
        source = "\n".join(options_of(program, command) for command in ["", *commands])
        assert source, match[0]
        for option in options:
            known = option == "--help" or f'"{option}"' in source
            assert known, f"{match[0]}: {option}"
