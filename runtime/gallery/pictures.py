"""Pictures of pages by headless Chromium, and what it measures of them."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH, SECONDS = 1536, 60
_MEASURED = re.compile(r'<pre id="measured">(.*?)</pre>', re.DOTALL)


class Measured(BaseModel):
    """A page's height in pixels, and what on it does not fit a phone."""

    model_config = ConfigDict(frozen=True)

    height: int
    found: tuple[str, ...]


class CameraError(Exception):
    """The browser gave no picture; the message says what it said."""


def browser() -> str | None:
    """The path of a Chromium; None where there is none on the PATH."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def lacks_japanese() -> bool:
    """Whether no font of this machine has Japanese letters, so that pictures show boxes."""
    program = shutil.which("fc-list")
    if program is None:
        return False
    done = subprocess.run(
        [program, ":lang=ja"], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    return done.returncode == 0 and not done.stdout.strip()


class Camera:
    """Takes pictures of local pages with one program."""

    def __init__(self, program: str) -> None:
        self._program = program

    def photograph(self, page: Path, picture: Path) -> Measured:
        """Measure a contact sheet, then take it whole; raises CameraError."""
        dumped = self._run(page, "--dump-dom", f"--window-size={WIDTH},1000")
        match = _MEASURED.search(dumped)
        if match is None or not match[1]:
            raise CameraError(f"{page.name}: the page did not measure itself")
        measured = Measured.model_validate(json.loads(html.unescape(match[1])))
        # Absolute, because the browser has a working directory of its own.
        target = f"--screenshot={picture.resolve()}"
        self._run(page, target, f"--window-size={WIDTH},{measured.height}")
        if not picture.exists():
            raise CameraError(f"{picture.name}: the browser wrote no picture")
        return measured

    def _run(self, page: Path, *options: str) -> str:
        with tempfile.TemporaryDirectory(prefix="forewarn-browser-") as profile:
            command = [
                self._program,
                *("--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
                *("--disable-dev-shm-usage", "--disable-background-networking"),
                *("--virtual-time-budget=5000", f"--user-data-dir={profile}"),
                # Chromium refuses its sandbox to root; the pages are our own.
                *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
                *options,
                page.resolve().as_uri(),
            ]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=SECONDS, check=False
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise CameraError(f"{page.name}: {error}") from None
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:]
            raise CameraError(f"{page.name}: exit {done.returncode} {' '.join(last)}")
        return done.stdout
