"""Extract the prose that Vale cannot read by itself, and list all files that it should check.

Usage: python scripts/prose.py [PREFIX...]

Prints one file per line. Markdown, Python, Go and Lua files are listed as they are. Comments of other files, schema
descriptions, messages and help texts are written to build/prose/PATH.md. Line N there is line N of PATH, so that an
alert names the place. Paths below a prefix of .vale/pending.txt are left out, unless a PREFIX is given.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "prose"
PENDING = ROOT / ".vale" / "pending.txt"
NATIVE = {".md", ".py", ".go", ".lua"}
# Neither hand-written prose nor ours: locks, data, rendered manifests, license texts.
IGNORED = ("requirements/", "trainer/tasks/data/", "LICENSE", "tests/job_files/accepted/")
PARSERS = (["trainer"], ["trainer", "check"])

Extract = Callable[[str], Iterator[tuple[int, str]]]


def hash_comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield each `# comment`; one that follows code becomes a list item, which Markdown keeps apart."""
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r"(.*?)(?:^|(?<=\s))#+(?: --)?\s(.*)$", line)
        if found and not line.startswith("#!"):
            yield number, found[2].strip() if not found[1].strip() else f"- {found[2].strip()}"


def template_comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of each `{{/* comment */}}` of a Helm template."""
    for comment in re.finditer(r"\{\{-?\s*/\*(.*?)\*/", text, flags=re.S):
        first = text.count("\n", 0, comment.start(1)) + 1
        for number, line in enumerate(comment[1].splitlines(), first):
            yield number, line.strip()
    yield from hash_comments(re.sub(r"\{\{.*?\}\}", lambda found: "\n" * found[0].count("\n"), text, flags=re.S))


def descriptions(text: str) -> Iterator[tuple[int, str]]:
    """Yield each description and hint of a JSON schema as a list item."""
    for number, line in enumerate(text.splitlines(), 1):
        for found in re.finditer(r'"(?:description|x-hint|title)": "((?:[^"\\]|\\.)*)"', line):
            yield number, "- " + quoted_as_code(found[1].replace('\\"', '"'))


def messages(text: str) -> Iterator[tuple[int, str]]:
    """Yield each expected message of a table of refused job files."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"\s*(?:- )?error: (.*)$", line):
            yield number, "- " + quoted_as_code(found[1])


def notes(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of NOTES.txt, with a code span for each template action."""
    for number, line in enumerate(text.splitlines(), 1):
        words = re.sub(r"\{\{-? (?:if|else|end|with|range).*?\}\}", "", line)
        yield number, re.sub(r"\{\{.*?\}\}", "`value`", words).strip()


def quoted_as_code(text: str) -> str:
    """Return `text` with its quoted values, which are not prose, as code spans."""
    return re.sub(r'"[^"]*"', "`value`", text.strip("'"))


def extractor(path: str) -> Extract | None:
    """Return what extracts the prose of `path`; None for a file without any."""
    name, suffix = Path(path).name, Path(path).suffix
    if path.startswith("tests/job_files/rejected/"):
        return messages if suffix == ".yaml" else None
    if name == "NOTES.txt":
        return notes
    if suffix == ".json":
        return descriptions if path.startswith(("schema/", "argocd/")) else None
    if suffix == ".tpl" or "/templates/" in path:
        return template_comments
    if suffix in {".sh", ".yaml", ".toml"} or name in {"Makefile", "Dockerfile", "CODEOWNERS", ".helmignore", "run"}:
        return hash_comments
    return None


def write(name: str, lines: Iterator[tuple[int, str]]) -> Path | None:
    """Write the extracted lines to build/prose/NAME.md, each at its own line number, and return the file."""
    found = dict(lines)
    if not found:
        return None
    target = OUT / f"{name}.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(found.get(number, "") for number in range(1, max(found) + 1)) + "\n", encoding="utf-8")
    return target.relative_to(ROOT)


def click_help(command: click.Command, name: str) -> Iterator[tuple[str, Iterator[tuple[int, str]]]]:
    """Yield name and texts of a command and of all commands below it."""
    options = [option.help for option in command.params if isinstance(option, click.Option) and option.help]
    text = "\n".join([(command.help or "").replace("\b", ""), command.epilog or "", *(f"\n- {o}" for o in options)])
    yield f"help/{name}", iter(list(enumerate((line.strip() for line in text.splitlines()), 1)))
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from click_help(child, f"{name}-{child.name}")


def help_texts() -> Iterator[tuple[str, Iterator[tuple[int, str]]]]:
    """Yield name and lines of the help texts of all our commands."""
    from devcluster.cli import main as devcluster
    from tfd.cli import main as tfd

    yield from click_help(tfd, "tfd")
    yield from click_help(devcluster, "devcluster")
    environment = {**os.environ, "COLUMNS": "2000"}
    for words in PARSERS:
        done = subprocess.run(
            [sys.executable, "-m", *words, "--help"], capture_output=True, text=True, check=True, env=environment
        )
        yield f"help/{'-'.join(words)}", iter(list(enumerate(map(argparse_line, done.stdout.splitlines()), 1)))


def argparse_line(line: str) -> str:
    """Return a line of argparse's help: a term and its text become a list item with a code span."""
    if line.startswith("usage:"):
        return ""
    found = re.match(r"\s+(\S.*?)\s{2,}(\S.*)$", line)
    return f"- `{found[1]}` {found[2]}" if found else line.strip()


def main(prefixes: list[str]) -> None:
    """Write build/prose and print the files that Vale should read."""
    pending = [line for line in PENDING.read_text().splitlines() if line and not line.startswith("#")]
    skipped = (*IGNORED, *([] if prefixes else pending))
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files: list[Path | None] = []
    for path in listed.splitlines():
        if path.startswith(skipped) or not path.startswith(tuple(prefixes or [""])) or (ROOT / path).is_symlink():
            continue
        if Path(path).suffix in NATIVE:
            files.append(Path(path))
        elif (extract := extractor(path)) is not None:
            files.append(write(path, extract((ROOT / path).read_text(encoding="utf-8"))))
    for name, lines in help_texts():
        if not name.startswith(skipped) and name.startswith(tuple(prefixes or [""])):
            files.append(write(name, lines))
    print("\n".join(str(file) for file in files if file is not None))


if __name__ == "__main__":
    main(sys.argv[1:])
