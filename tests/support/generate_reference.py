"""The reference pages and the man pages, made of the commands, and the names of dialects in the JSON schemas.

`python -m tests.support.generate_reference` (or `make reference`) writes them into docs/.
tests/cli/test_reference.py holds them against the code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from eci_convert.cli import exit_codes
from eci_convert.cli.command import examples_of, is_of_side, option_rows
from eci_convert.cli.commands import COMMANDS, SECTIONS, all_commands, group
from eci_convert.cli.param_types import Option
from eci_convert.dialects import READERS
from eci_convert.transports import SCHEMES

DOCS = Path(__file__).parents[2] / "docs"
MADE_BY = "<!-- Made by tests/support/generate_reference.py from the code: run `make reference`. -->"
_WIDTH = 1000
DIFFERENT = "Beside these, `diff` ends with 10 where the two images differ."

VARIABLES: Mapping[str, str] = {
    "ECI_CONVERT_DEFAULT_TRANSPORT": "Transport of a name without one, for `extract`, `inspect`, `ls`, `diff`, `build` "
    "and `verify`, such as `containers-storage`; the default is `docker-daemon`.",
    "ECI_CONVERT_PASSWORD": "Password for `--username`, in the place of `--password-stdin`.",
    "ECI_CONVERT_SRC_PASSWORD": "Password for `--src-username`.",
    "ECI_CONVERT_DEST_PASSWORD": "Password for `--dest-username`.",
    "SOURCE_DATE_EPOCH": "Seconds since 1970 that every time written is; the default is 0.",
    "DOCKER_HOST": "Address of the Docker engine.",
    "DOCKER_CONTEXT": "Docker context that names the engine, where DOCKER_HOST does not.",
    "DOCKER_CONFIG": "Directory of Docker's config.json, contexts and certificates; the default is `~/.docker`.",
    "DOCKER_TLS": "Speak TLS to the engine that DOCKER_HOST names, without verifying its certificate.",
    "DOCKER_TLS_VERIFY": "Speak TLS to the engine that DOCKER_HOST names, and verify its certificate.",
    "DOCKER_CERT_PATH": "Directory of `ca.pem`, `cert.pem` and `key.pem` for the engine.",
    "CONTAINER_HOST": "Address of podman's service, used where no Docker engine listens.",
    "CONTAINERD_ADDRESS": "Socket of containerd; the default is `/run/containerd/containerd.sock`.",
    "CONTAINERD_NAMESPACE": "Namespace of containerd; the default is `default`.",
    "CONTAINERS_STORAGE_CONF": "Configuration file of the image store of podman, buildah and CRI-O.",
    "CONTAINERS_REGISTRIES_CONF": "Main configuration file of registries, in place of the user's and the system's.",
    "REGISTRIES_CONFIG_PATH": "The same, where CONTAINERS_REGISTRIES_CONF is not set.",
    "CONTAINERS_REGISTRIES_CONF_DIR": "Directory of drop-in files of that configuration.",
    "STORAGE_DRIVER": "Driver of that image store.",
    "STORAGE_OPTS": "Options of that driver.",
    "REGISTRY_AUTH_FILE": "Credentials, before any other file, as `podman login` stores them.",
    "DOCKER_AUTH_CONFIG": "Credentials as the content of a config.json, as GitLab CI has them.",
    "HTTP_PROXY": "Proxy for plain HTTP (in lower case only where REQUEST_METHOD is set).",
    "HTTPS_PROXY": "Proxy for HTTPS.",
    "ALL_PROXY": "Proxy where there is no other.",
    "NO_PROXY": "Hosts that are reached without a proxy.",
    "HOME": "The user's directory.",
    "USER": "The user's name.",
    "PATH": "Where credential helpers and Docker's client are looked for.",
    "TMPDIR": "Directory for temporary files.",
    "XDG_CACHE_HOME": "Where what arrived of a download is kept until it is complete.",
    "XDG_CONFIG_HOME": "Where podman's configuration is.",
    "XDG_DATA_HOME": "Where podman's image store is.",
    "XDG_RUNTIME_DIR": "Where podman's socket and credentials are.",
    "XDG_STATE_HOME": "Where facts about registries and interrupted uploads are kept.",
    "NO_COLOR": "No colours, if it is not empty.",
    "FORCE_COLOR": "Colours wherever the output goes, if it is not empty and NO_COLOR is.",
    "TERM": "No colours, if it is `dumb`.",
}
"""Environment variables that belong to no option, and what they say."""


def cli() -> str:
    """docs/reference/cli.md."""
    lines = ["# Commands", "", MADE_BY, ""]
    lines += ["`eci-convert COMMAND …`; results go to standard output, everything else to standard error.", ""]
    for title, names in SECTIONS.items():
        lines += [f"* {title}: " + ", ".join(f"[`{name}`](#{name})" for name in names)]
    lines += ["", "## References", "", "| spelling | is |", "|---|---|"]
    for scheme in SCHEMES:
        spelt = ", ".join(f"`{spelling}{scheme.form}`" for spelling in scheme.spellings)
        lines.append(f"| {spelt} | {scheme.what} |")
    lines += ["", "Every option has an [environment variable](environment.md); [exit codes](exit-codes.md)."]
    for words, command in all_commands():
        lines += ["", *_command(words, command)]
    return "\n".join(lines) + "\n"


def _command(words: str, command: click.Command) -> Iterator[str]:
    first, *rest = words.split()
    if rest and words == min(name for name, _ in all_commands() if name.startswith(f"{first} ")):
        yield from (f"## {first}", "", COMMANDS[first], "")
    yield f"### {words}" if rest else f"## {words}"
    context = _context(words, command)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from ("", "```text", usage, "```")
    yield from ("", _paragraphs(command))
    if lines := examples_of(command.epilog):
        yield from ("", "```sh", *lines, "```")
    for title, rows in option_rows(command.get_params(context), context):
        yield from ("", f"**{title}**", "", "| option | |", "|---|---|")
        for name, text in rows:
            yield f"| `{_cell(name)}` | {_cell(text)} |"
    if any(is_of_side(parameter) for parameter in command.params):
        yield from ("", "Each connection option with `--src-` or `--dest-` before its name is for one side alone.")


def _paragraphs(command: click.Command) -> str:
    paragraphs = re.split(r"\n\s*\n", (command.help or "").strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _cell(text: str) -> str:
    return re.sub(r"\[((?:_?)ECI_CONVERT_\w+)\]", r"`\1`", " ".join(text.split())).replace("|", "\\|")


def _context(words: str, command: click.Command) -> click.Context:
    root = group()
    parent = click.Context(root, info_name="eci-convert", **root.context_settings)
    *groups, name = words.split()
    for each in groups:
        parent = click.Context(click.Group(each), info_name=each, parent=parent)
    return click.Context(command, info_name=name, parent=parent, max_content_width=_WIDTH, terminal_width=_WIDTH)


def environment() -> str:
    """docs/reference/environment.md."""
    used: dict[str, tuple[set[str], set[str]]] = {}
    for words, command in all_commands():
        for parameter in command.params:
            if isinstance(parameter, Option) and isinstance(parameter.envvar, str):
                options, commands = used.setdefault(parameter.envvar, (set(), set()))
                options.add(max(parameter.opts, key=len))
                commands.add(words)
    everywhere = len(list(all_commands())) - len({"completion", "help", "version"})
    lines = ["# Environment variables", "", MADE_BY, "", "## Of options", ""]
    lines += [
        "A variable is for every command that has its option; where the option would have no effect, it is ignored.",
        "An option on the command line goes before it. An option that may be repeated has its values in one variable:",
        "one on each line, or on one line with blanks between them, quoted as for a shell.",
        "",
    ]
    lines += ["| variable | option | commands |", "|---|---|---|"]
    for variable, (options, commands) in sorted(used.items()):
        names = "all" if len(commands) >= everywhere else ", ".join(f"`{name}`" for name in sorted(commands))
        lines.append(f"| `{variable}` | {', '.join(f'`{option}`' for option in sorted(options))} | {names} |")
    lines += ["", "## Others", "", "| variable | says |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in VARIABLES.items()]
    return "\n".join(lines) + "\n"


def exits() -> str:
    """docs/reference/exit-codes.md."""
    lines = ["# Exit codes", "", MADE_BY, ""]
    lines += [
        "An error is one line on standard error, then hints. Whatever the code, no output file is half-written.",
        "",
    ]
    lines += ["| code | means | next step |", "|---|---|---|"]
    lines += [f"| {code} | {means} | {step} |" for code, (means, step) in exit_codes.MEANINGS.items()]
    lines += ["", DIFFERENT, "", "What to do about an error: [troubleshooting](../howto/troubleshooting.md)."]
    return "\n".join(lines) + "\n"


def man(words: str, command: click.Command) -> str:
    """The page of section 1 for the command that *words* name."""
    name = "-".join(["eci-convert", *words.split()])
    context = _context(words, command)
    short = COMMANDS.get(words) or command.get_short_help_str(_WIDTH)
    lines = [*_head(name), ".SH NAME", f"{_roff(name)} \\- {_roff(short.rstrip('.'))}", ".SH SYNOPSIS"]
    lines += [f".B {_roff(context.command_path)}", _roff(" ".join(command.collect_usage_pieces(context)))]
    lines += [".SH DESCRIPTION", _roff(_paragraphs(command)).replace("\n\n", "\n.PP\n")]
    if examples := examples_of(command.epilog):
        lines += [".SH EXAMPLES", ".nf", *map(_roff, examples), ".fi"]
    for title, rows in option_rows(command.get_params(context), context):
        lines.append(f".SH {title.upper()}")
        for option, text in rows:
            breakable = _roff(option).replace("|", "|\\:")
            lines += [".TP", f".B {breakable}", _roff(" ".join(text.split()))]
    if any(is_of_side(parameter) for parameter in command.params):
        text = "Each connection option with --src- or --dest- before its name is for SRC or for DST alone."
        lines += [".SH CONNECTION OPTIONS OF ONE SIDE", _roff(text)]
    lines += [".SH SEE ALSO", _roff("eci-convert(1)")]
    return "\n".join(lines) + "\n"


def _head(name: str) -> tuple[str, ...]:
    """The title of the page *name*. No word is broken, so that a reader finds ECI_CONVERT_FORMAT, and can copy it."""
    return f'.TH "{name.upper()}" "1"', ".nh", ".ad l"


def man_of_all() -> str:
    """The page of the program itself."""
    lines = [*_head("eci-convert"), ".SH NAME", f"eci\\-convert \\- {_roff((group().help or '').rstrip('.'))}"]
    lines += [".SH SYNOPSIS", ".B eci\\-convert", "COMMAND ..."]
    for title, names in SECTIONS.items():
        lines.append(f".SH {title.upper()}")
        for name in names:
            lines += [".TP", f".B {_roff(name)}", _roff(COMMANDS[name])]
    lines.append(".SH REFERENCES")
    for scheme in SCHEMES:
        lines += [".TP", f".B {_roff(scheme.spellings[0] + scheme.form)}", _roff(scheme.what)]
    lines.append(".SH ENVIRONMENT")
    lines.append(_roff("Every option has an environment variable, ECI_CONVERT_OPTION."))
    for name, text in VARIABLES.items():
        lines += [".TP", f".B {_roff(name)}", _roff(text.replace("`", ""))]
    lines.append(".SH EXIT STATUS")
    for code, (means, step) in exit_codes.MEANINGS.items():
        lines += [".TP", f".B {code}", _roff(f"{means}: {step}" if step else means)]
    lines += [".PP", _roff(DIFFERENT.replace("`", ""))]
    lines.append(".SH SEE ALSO")
    lines.append(_roff(", ".join(f"eci-convert-{words.replace(' ', '-')}(1)" for words, _ in all_commands())))
    return "\n".join(lines) + "\n"


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq")
    escaped = escaped.replace("…", "...")
    return re.sub(r"(?m)^\.", r"\\&.", escaped)


def schema(path: Path) -> str:
    """The JSON schema at *path*: wherever it allows the first dialect, it allows all of them."""
    return json.dumps(_with_all_dialects(json.loads(path.read_text())), indent=2) + "\n"


def _with_all_dialects(value: Any) -> Any:
    if isinstance(value, list):
        first = next(iter(READERS))
        if first in value:
            return [*READERS, *(word for word in value if word == "cnab")]
        return [_with_all_dialects(item) for item in value]
    return {key: _with_all_dialects(item) for key, item in value.items()} if isinstance(value, dict) else value


def pages() -> dict[Path, str]:
    """Every page by its path."""
    made = {
        DOCS / "reference/cli.md": cli(),
        DOCS / "reference/environment.md": environment(),
        DOCS / "reference/exit-codes.md": exits(),
        DOCS / "man/eci-convert.1": man_of_all(),
    }
    for words, command in all_commands():
        made[DOCS / f"man/eci-convert-{words.replace(' ', '-')}.1"] = man(words, command)
    return made | {path: schema(path) for path in (DOCS / "reference/schemas").glob("*.json")}


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for stale in set((DOCS / "man").glob("*.1")) - set(pages()):
        stale.unlink()
