"""What the page about the seal shows is what the server takes and says."""

import re

import pytest

from broker.barrier.migrate import no_authority, not_migrating, pending
from broker.core.plugins import load_catalog
from broker.core.seals import build_seals
from broker.server.config import load_config
from contrib.checks import ROOT

PAGE = (ROOT / "docs" / "seal.md").read_text()


def sections(language):
    """The blocks of a language by the heading they stand under."""
    found = {}
    for part in re.split(r"^## ", PAGE, flags=re.MULTILINE):
        for block in re.findall(rf"^```{language}\n(.*?)^```$", part, re.MULTILINE | re.DOTALL):
            found[part.splitlines()[0]] = block
    return found


@pytest.mark.parametrize(
    ("heading", "retired"),
    [('A key beside the configuration: `seal "static"`', None), ("Moving to another seal", "static")],
)
def test_the_stanzas_of_the_page_are_taken_as_they_stand(tmp_path, heading, retired):
    stanzas = sections("hcl")[heading]
    for number, name in enumerate(re.findall(r"file:///etc/broker/(\S+)\"", stanzas)):
        (tmp_path / name).write_bytes(bytes([number]) * 32)
        (tmp_path / name).chmod(0o400)
    path = tmp_path / "broker.hcl"
    path.write_text(
        f'storage "inmem" {{}}\nlistener "tcp" {{ tls_disable = true }}\n{stanzas}'.replace(
            "/etc/broker", str(tmp_path)
        )
    )
    seals = build_seals(load_config([path]).seals, load_catalog().seals)
    assert seals.current.type == "static"
    assert (seals.retired.type if seals.retired else None) == retired


def test_the_refusals_of_the_page_are_those_of_the_server():
    for error in (pending(), not_migrating()):
        assert f"| `{error}` |" in PAGE
    assert f"| `{str(no_authority()).partition(':')[0]}` |" in PAGE
