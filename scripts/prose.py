"""Extract the prose that Vale cannot read by itself, and list all files that it should check.

Usage: python scripts/prose.py [PREFIX...]

Prints one file per line. Markdown, Go and Lua files are listed as they are. Vale reads Python too, but takes ten times
as long. The prose of all other files is written to build/prose/PATH.md: comments, docstrings, schema descriptions,
messages and help texts. Line N there is line N of PATH, so that an alert names the place. Messages are the refusals of
tests/job_files and what Python code raises, logs or prints.

Paths below a prefix of .vale/pending.txt are left out, unless a PREFIX is given.
"""

import ast
import inspect
import io
import json
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "prose"
PENDING = ROOT / ".vale" / "pending.txt"
NATIVE = {".md", ".go", ".lua"}
# Neither hand-written prose nor ours: locks, data, license texts.
IGNORED = ("requirements/", "trainer/tasks/data/", "LICENSE", "tests/job_files/accepted/")
SPEAKERS = {"info", "warning", "error", "echo", "print", "_fail"}
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


def notebook(text: str) -> Iterator[tuple[int, str]]:
    """Yield the Markdown and the comments of a notebook, in which each line of a cell is a JSON string on its line."""
    markdown = False
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r'\s*"cell_type": "(\w+)"', line):
            markdown = found[1] == "markdown"
        elif found := re.fullmatch(r'    (".*?"),?', line):
            words = str(json.loads(found[1])).rstrip("\n")
            yield from [(number, words)] if markdown else ((number, comment) for _, comment in hash_comments(words))


def messages(text: str) -> Iterator[tuple[int, str]]:
    """Yield each expected message of a table of refused job files."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.match(r"\s*(?:- )?error: (.*)$", line):
            yield number, "- " + quoted_as_code(found[1])


def python_prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield docstrings, comments and messages of Python code."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not re.match(r"#(!| noqa| type:| fmt:)", token.string):
            words = token.string.lstrip("#").partition("# noqa")[0].strip()
            yield token.start[0], words if token.line.lstrip().startswith("#") else f"- {words}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from enumerate(inspect.cleandoc(node.value.value).splitlines(), node.lineno)
        elif isinstance(node, ast.Raise | ast.Call):
            yield from python_messages(node)


def python_messages(node: ast.Raise | ast.Call) -> Iterator[tuple[int, str]]:
    """Yield each text that a statement raises, logs or prints."""
    call = node.exc if isinstance(node, ast.Raise) else node
    if isinstance(call, ast.Call):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        for argument in call.args if isinstance(node, ast.Raise) or name in SPEAKERS else []:
            if len(words := literal(argument).split()) > 1:
                yield argument.lineno, "- " + quoted_as_code(" ".join(words))


def literal(node: ast.expr) -> str:
    """Return the text of a string or f-string, with a code span for each inserted value."""
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return "`value`"
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[sdr]|%\.\d+f", "`value`", node.value)
    return ""


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
    commented = suffix in {".sh", ".yaml", ".toml"} or name in {"Makefile", "Dockerfile", "CODEOWNERS", "run"}
    for extract, matches in (
        (None, path.startswith("tests/golden/")),
        (messages, path.startswith("tests/job_files/rejected/") and suffix == ".yaml"),
        (notes, name == "NOTES.txt"),
        (descriptions, path.startswith(("schema/", "charts/", "argocd/")) and suffix == ".json"),
        (template_comments, suffix == ".tpl" or "/templates/" in path),
        (python_prose, suffix == ".py"),
        (notebook, suffix == ".ipynb"),
        (hash_comments, commented),
    ):
        if matches:
            return extract
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
        context = click.Context(command)
        for child in command.list_commands(context):
            if found := command.get_command(context, child):
                yield from click_help(found, f"{name}-{child}")


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
