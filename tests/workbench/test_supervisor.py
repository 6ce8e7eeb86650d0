"""The supervisor ends both programs together, with words and an exit code."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

# A program that serves /STATUS with this status and, at SIGTERM, writes a file and exits.
SERVER = """
import http.server, os, pathlib, signal, sys
folder, name, protected = sys.argv[1:4]
def end(*_):
    pathlib.Path(folder, name + ".ended").write_text("")
    os._exit(0)
signal.signal(signal.SIGTERM, end if "deaf" not in name else signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(protected) if self.path == "/protected" else 200)
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
pathlib.Path(folder, name + ".new").write_text(str(server.server_port))
os.rename(pathlib.Path(folder, name + ".new"), pathlib.Path(folder, name + ".port"))
server.serve_forever()
"""

# The supervisor in a process of its own: it waits for all children, and pytest has some.
MAIN = """
import os, pathlib, sys, time
from tfd.workbench import supervisor
from tfd.workbench.programs import Program
supervisor.GRACE_SECONDS = 1
folder = pathlib.Path(sys.argv[1])
def program(word):
    name, _, status = word.partition("=")
    command = (sys.executable, str(folder / "server.py"), str(folder), name, status or "403")
    if status.startswith("exits"):
        command = (sys.executable, "-c", f"raise SystemExit({status.removeprefix('exits')})")
    return Program(name, command, dict(os.environ), "", name, name + "/protected", "had no activity")
real = supervisor.answer
def answer(address):
    name, _, path = address.partition("/")
    port = folder / (name + ".port")
    return real(f"http://127.0.0.1:{port.read_text()}/{path}") if port.exists() else None
supervisor.answer = answer
found = supervisor.Supervisor([program(word) for word in sys.argv[2:]], lambda text: print(text, flush=True))
sys.exit(found.run(lambda: (folder / "ready").write_text("")))
"""


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    (folder / "server.py").write_text(textwrap.dedent(SERVER))
    command = [sys.executable, "-c", MAIN, str(folder), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    while not file.exists():
        assert process.poll() is None, process.stdout
        time.sleep(0.05)


def stop(process: subprocess.Popen[str], number: int) -> tuple[int, str]:
    process.send_signal(number)
    printed, _ = process.communicate(timeout=60)
    return process.returncode, printed


def test_signal_ends_both_programs_with_exit_code_0(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start(tmp_path, "one", "two")
        wait_for(tmp_path / "ready", process)
        assert stop(process, number) == (0, "")
        assert (tmp_path / "one.ended").exists() and (tmp_path / "two.ended").exists()
        for file in [*tmp_path.glob("*.ended"), *tmp_path.glob("*.port"), tmp_path / "ready"]:
            file.unlink()


def test_program_that_ends_ends_the_other_with_words(tmp_path: Path) -> None:
    process = start(tmp_path, "one", "two=exits3")
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    assert printed == "two ended with exit code 3, so the workbench ends.\n"


def test_planned_end_of_a_program_ends_the_other_with_exit_code_0(tmp_path: Path) -> None:
    process = start(tmp_path, "one", "two=exits0")
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert printed == "two had no activity, so the workbench ends.\n"


def test_program_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, "deaf", "two")
    wait_for(tmp_path / "ready", process)
    assert stop(process, signal.SIGTERM)[0] == 0
    assert (tmp_path / "two.ended").exists()


def test_program_that_answers_without_the_token_ends_the_workbench(tmp_path: Path) -> None:
    process = start(tmp_path, "one", "two=200")
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert printed.startswith("two answers without the token, so the workbench ends.")
    assert not (tmp_path / "ready").exists()
