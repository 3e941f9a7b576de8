"""Every relative link of the Markdown files leads to a file, and to a heading where it names one."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!\\)\]\(\s*<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\s*\)")


def markdown():
    """Markdown files of the repository; where there is no git, those of a plain copy."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        return sorted(path for path in ROOT.rglob("*.md") if not {".venv", "exp"} & set(path.relative_to(ROOT).parts))
    return sorted(ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists())


def prose(text):
    """Text without code blocks and code spans."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(?: {4}|\t)(?![ \t]*[-*|0-9]).*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(text):
    """Anchors that GitHub and MkDocs give to the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#{1,6} +(.+?) *#*$", text, flags=re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)|`", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in plain}


def broken(page):
    """Links of a page that lead nowhere."""
    errors = []
    for target in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page if not name else page.parent / name
        if not file.exists():
            errors.append(target)
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            errors.append(target)
    return errors


@pytest.mark.parametrize("page", markdown(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_resolve(page):
    assert broken(page) == []


def test_paths_of_pages_in_code_exist():
    """``docs/..`` in comments, configurations and programs; of figures that a program writes, their folder."""
    listed = subprocess.run(["git", "grep", "-hoE", r"\bdocs/[A-Za-z0-9_/.-]+\.(md|json|png|svg)"], cwd=ROOT,
                            capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no git repository")
    named = set(listed.stdout.split())
    assert len(named) > 5
    paths = {ROOT / name if name.endswith(".md") else (ROOT / name).parent for name in named}
    assert sorted(path for path in paths if not path.exists()) == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n[here](#a-page) [there](other.md) [nowhere](#none) `[code](x.md)` [web](https://x.y/z)\n")
    assert broken(page) == ["other.md", "#none"]


def test_every_page_is_in_the_index_and_in_the_site():
    import yaml

    def leaves(node):
        if isinstance(node, str):
            return {node}
        return set().union(*(leaves(inner) for inner in (node.values() if isinstance(node, dict) else node)))

    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]) == pages
    linked = set(LINK.findall(prose((ROOT / "docs/index.md").read_text(encoding="utf-8"))))
    assert pages - linked == {"index.md"}
