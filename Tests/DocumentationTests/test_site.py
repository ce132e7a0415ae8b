"""The site is built without a warning, and a warning would end it."""

import pytest

from build_docs import build, convert
from symbol_graphs import DOCUMENTED
from toolchain import ROOT, Failure


def test_the_site_has_every_module_and_every_article():
    pages = build() / "documentation"
    assert [name for name in DOCUMENTED if not (pages / name.lower() / "index.html").exists()] == []
    articles = [path.stem for path in (ROOT / "docs").glob("*.md")]
    assert len(articles) > 10
    assert [name for name in articles if not (pages / "quarry" / name / "index.html").exists()] == []


@pytest.mark.parametrize("text, is_sound", [
    ("See <doc:other>.", True), ("See <doc:nowhere>.", False), ("See [it](doc:other#Nothing).", False),
    ("See ``Nothing/at(all:)``.", False), ("![a picture](missing.svg)", False),
])
def test_a_link_that_leads_nowhere_ends_the_build(tmp_path, text, is_sound):
    catalog = tmp_path / "Small.docc"
    catalog.mkdir()
    (catalog / "Small.md").write_text(f"# Small\n\nA page.\n\n@Metadata {{\n    @TechnologyRoot\n}}\n\n## Overview\n\n{text}\n")
    (catalog / "other.md").write_text("# Other\n\nAnother page.\n")
    if is_sound:
        convert("Small", tmp_path / "Small.doccarchive", catalog)
    else:
        with pytest.raises(Failure):
            convert("Small", tmp_path / "Small.doccarchive", catalog)
