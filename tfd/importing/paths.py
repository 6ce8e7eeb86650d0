"""Paths in the words of a program: those that have moved, and those of its output."""

from __future__ import annotations

import re
from collections.abc import Callable

from tfd.importing.context import Context

# Options whose value is the folder that a program writes to; `train_dir` is as often the data.
_OUTPUT = re.compile(
    r"-{1,2}(?:[a-z]+[-_])?(?:output|out|log|logs|logging|model|job|checkpoint|checkpoints|ckpt|export|save|saved[-_]model"
    r"|result|results|summary|summaries|tensorboard|tb|event|events)(?:[-_]?(?:dir|path|folder|directory|base[-_]path))?"
)
_INPUT = re.compile(r"pretrain|init|restore|load|input|data|warm|from|base_model|config|vocab", re.IGNORECASE)
_END = r"(?=/|$|[\s\"';&|),:])"


def is_within(path: str, folder: str) -> bool:
    """Return whether a path is a folder or in it."""
    return f"{path}/".startswith(f"{folder}/")


def moved(context: Context, text: str) -> str:
    """Return a text of the manifest with each path that has moved at its new place. The longest old path counts."""
    places = {each.old: each.new for each in context.moved}
    if not places:
        return text

    def replaced(found: re.Match[str]) -> str:
        context.followed.add(found[0])
        return places[found[0]]

    olds = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
    return re.sub(rf"(?<![\w./$)-])(?:{olds}){_END}", replaced, text)


def note_moves(context: Context) -> None:
    """Note each path that has moved; ask for its place where no word of the program names it."""
    for old, new, key in context.moved:
        if old in context.followed:
            context.ledger.note("command, args, env", f"paths below {old} are now below {new}")
        else:
            question = f"where does the program find what was at {old}?"
            hints = (f"A mount at {old} is impossible, or has another folder: {new} is proposed.",)
            context.draft.ask(*key, question=question, hints=hints)
            context.ledger.note(
                ".".join(map(str, key)), f"no word names {old}, so its path is in the code of the image"
            )


def point_output_at_the_run(context: Context) -> None:
    """Let options of output below the storage name the run directory, so that TensorBoard shows it."""
    storage = context.draft.get("storage") or {}
    if "ephemeral" in storage:
        return
    at = storage.get("uri") or storage.get("at") or "/runs"
    replaced = _each_word(context, lambda word, before: _to_run_dir(word, before, at))
    if replaced:
        context.ledger.note("args", f"output below {at} goes to $(RUN_DIR), where TensorBoard reads it")
    elif context.keeps_paths:
        below = "the claim" if context.draft.is_open(("storage", "at")) else at
        why = f"output elsewhere below {below} is not in the run directory: TensorBoard is empty, and runs may share it"
        context.ledger.note("storage", why)


def _each_word(context: Context, change: Callable[[str, str], str]) -> bool:
    """Change each word of command and args, given the word before it; return whether one is different."""
    different = False
    for key in ("command", "args"):
        words = context.draft.get(key) or []
        for index, word in enumerate(words):
            words[index] = change(word, words[index - 1] if index else "")
            different = different or words[index] != word
    return different


def _to_run_dir(word: str, before: str, at: str) -> str:
    place = f"{re.escape(at)}{_END}"
    if _is_output(before):
        return re.sub(f"^{place}", "$(RUN_DIR)", word)

    def replaced(found: re.Match[str]) -> str:
        return f"{found['option']}{found['sign']}$(RUN_DIR)" if _is_output(found["option"]) else found[0]

    return re.sub(rf"(?<![\w-])(?P<option>--?[A-Za-z][\w-]{{0,80}})(?P<sign>[= ]['\"]?){place}", replaced, word)


def _is_output(option: str) -> bool:
    return bool(_OUTPUT.fullmatch(option.lower())) and not _INPUT.search(option)
