"""The page about Kubernetes can be followed, with a small cluster where the reader has a large one."""

import base64
import json
import os
import sys

import pytest

from contrib.checks import ROOT
from tests.fixtures.servers import BIN
from tests.repo.markdown import blocks, reading

from ..cert.authority import authority, ip, make
from .cluster import REVIEWER, Cluster, serve, stop

KUBECTL = """#!{python}
import json, sys
words = sys.argv[1:]
answers = json.load(open({answers!r}))
print(next((text for key, text in answers.items() if all(word in " ".join(words) for word in key.split("&"))), ""), end="")
"""


@pytest.fixture
def cluster(tmp_path):
    root = authority("Cluster")
    made = Cluster()
    server = serve(made, make("api", issuer=root, names=ip("127.0.0.1")).files(tmp_path, "api"))
    made.ca = root.pem
    yield made
    stop(server)


@pytest.mark.slow
def test_the_page_can_be_followed(tmp_path, cluster):
    tools = tmp_path / "tools"
    tools.mkdir()
    answers = {
        "create token broker-reviewer": REVIEWER,
        "create token billing -n prod --audience=broker": cluster.token("billing", audiences=("broker",)),
        "create token reports -n prod --audience=broker": cluster.token("reports", audiences=("broker",)),
        "config view&certificate-authority-data": base64.b64encode(cluster.ca.encode()).decode(),
        "config view&cluster.server": cluster.address,
    }
    (tools / "answers.json").write_text(json.dumps(answers))
    script = tools / "kubectl"
    script.write_text(KUBECTL.format(python=sys.executable, answers=str(tools / "answers.json")))
    script.chmod(0o755)
    with reading(tmp_path, ROOT) as reader:
        reader.variables["PATH"] = os.pathsep.join((str(tools), str(BIN), os.environ["PATH"]))
        for block in blocks((ROOT / "docs" / "auth" / "kubernetes.md").read_text()):
            reader.follow(block)
