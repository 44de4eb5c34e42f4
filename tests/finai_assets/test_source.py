from __future__ import annotations

from finai_assets import source as versions
from finai_assets.asset_graph import EVALUATION, EXPLANATIONS, TEACHER


def code_version_after(monkeypatch, tmp_path, edited, **chosen):
    for name, text in {"room/a.py": "1", "room/part/b.py": "2", "room/assets.py": "3", **edited}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(versions, "_ROOT", tmp_path)
    return versions.code_version.__wrapped__("room", **chosen)


def test_an_edit_of_a_room_changes_its_version_and_one_of_its_door_does_not(monkeypatch, tmp_path):
    before = code_version_after(monkeypatch, tmp_path, {})
    assert code_version_after(monkeypatch, tmp_path, {"room/assets.py": "4"}) == before
    assert code_version_after(monkeypatch, tmp_path, {"room/part/b.py": "4"}) != before


def test_a_package_that_an_asset_does_without_can_be_edited_freely(monkeypatch, tmp_path):
    without = {"without": ("room/part",)}
    before = code_version_after(monkeypatch, tmp_path, {}, **without)
    assert code_version_after(monkeypatch, tmp_path, {"room/part/b.py": "4"}, **without) == before
    assert code_version_after(monkeypatch, tmp_path, {"room/a.py": "4"}, **without) != before


def test_what_the_teacher_does_without_exists():
    root = versions._ROOT
    for step in (TEACHER, EVALUATION, EXPLANATIONS):
        assert step.without
        assert all((root / room).is_dir() for room in step.without)
