"""Builds the package; the rest of its description is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PAGE = Path("worldplay", "web", "page")


class BuildWithPage(build_py):
    """Refuses to build a wheel without the page: nobody would notice before a browser shows nothing."""

    def run(self) -> None:
        if not self.editable_mode:
            if not Path("server", PAGE, "index.html").is_file():
                raise SystemExit("The page is not built: run `make page` first, which needs Node.js 20.19.")
            shutil.rmtree(Path(self.build_lib, PAGE), ignore_errors=True)  # of an earlier build
        super().run()


setup(cmdclass={"build_py": BuildWithPage})
