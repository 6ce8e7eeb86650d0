"""scripts/test.sh finds all tests of real processes in one folder."""

from tests.conventions.repository import ROOT, tracked

FOLDERS = ("tests/integration/", "tests/conventions/test_markers.py")


def test_only_integration_tests_start_real_processes() -> None:
    tests = [name for name in tracked() if name.startswith("tests/") and name.endswith(".py")]
    marked = [name for name in tests if "mark.processes" in (ROOT / name).read_text(encoding="utf-8")]
    assert marked
    assert [name for name in marked if not name.startswith(FOLDERS)] == []
