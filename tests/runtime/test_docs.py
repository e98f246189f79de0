"""Generated documentation follows the code, and a stale file is noticed."""

from pathlib import Path

import pytest

from adapters.registry import all_adapters
from runtime.docs import StaleDocs, fill, main

README = """# Sample
<!-- generated:settings -->
<!-- /generated -->
between
<!-- generated:adapters -->
old
<!-- /generated -->
after
"""


def test_written_files_pass_the_check_until_they_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text(README)
    assert main(["--check"], tmp_path) == 1
    assert "README.md: stale; run `make docs`" in capsys.readouterr().err
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0

    example = (tmp_path / ".env.example").read_text()
    readme = (tmp_path / "README.md").read_text()
    assert "#DATABASE_URL=\n" in example
    assert "between\n" in readme
    assert readme.endswith("after\n")
    assert "old" not in readme
    for spec in all_adapters():
        assert f"| {spec.kind} | `{spec.name}` |" in readme
    for variable in ("FOREWARN_SECRET_KEY", "PAGERDUTY_WEBHOOK_SECRET"):
        assert f"#{variable}=" in example
        assert f"| `{variable}` |" in readme

    (tmp_path / ".env.example").write_text(example + "\n")
    assert main(["--check"], tmp_path) == 1
    assert ".env.example: stale" in capsys.readouterr().err


def test_missing_and_unknown_markers_are_named(tmp_path: Path) -> None:
    assert main(["--check"], tmp_path) == 1
    with pytest.raises(StaleDocs, match="generated:settings"):
        fill("no markers", {"settings": "x\n"})
    with pytest.raises(StaleDocs, match="settngs is not known; allowed: settings"):
        fill(
            "<!-- generated:settings -->\n<!-- /generated -->"
            "<!-- generated:settngs -->\n<!-- /generated -->",
            {"settings": "x\n"},
        )
