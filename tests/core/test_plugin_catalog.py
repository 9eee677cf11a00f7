"""Which plugins the server takes, and what their engines get to see."""

from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from broker.core.plugins import load_catalog
from broker.plugin import AuthMethod, AuthMethodType, ConfigError, Engine, EngineType, hookimpl


@pytest.fixture
def offer(monkeypatch):
    """Make an entry point of a module whose engines are given."""
    import sys

    def make(name, *, engines=(), auth_methods=(), **hooks):
        module = ModuleType(f"offered_{name}")
        module.register_engines = hookimpl(lambda: list(engines))
        module.register_auth_methods = hookimpl(lambda: list(auth_methods))
        for hook, function in hooks.items():
            setattr(module, hook, hookimpl(function))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return EntryPoint(name, module.__name__, "broker.plugins")

    return make


def test_two_plugins_with_one_name_stop_the_start_and_both_are_named(offer):
    first = offer("first", engines=[EngineType("vault", build=Engine)])
    second = offer("second", engines=[EngineType("vault", build=Engine)])
    with pytest.raises(ConfigError, match='"first" and "second" both offer the secret type "vault"'):
        load_catalog([first, second])


def test_versions_of_one_type_may_share_a_name(offer):
    both = offer(
        "both",
        engines=[EngineType("kv", build=Engine, version="1"), EngineType("kv", build=Engine, version="2")],
    )
    assert [kind.version for kind in load_catalog([both]).engines] == ["1", "2"]


@pytest.mark.parametrize("name", ["system", "identity"])
def test_the_core_s_own_types_cannot_be_offered(offer, name):
    with pytest.raises(ConfigError, match="reserved"):
        load_catalog([offer("sly", engines=[EngineType(name, build=Engine)])])
    with pytest.raises(ConfigError, match="reserved"):
        load_catalog([offer("sly", auth_methods=[AuthMethodType(name, build=AuthMethod)])])


def test_a_misspelt_hook_fails_loudly(offer):
    def register_enginess():
        return []

    with pytest.raises(ConfigError, match="hook that does not exist"):
        load_catalog([offer("typo", register_enginess=register_enginess)])


def test_a_plugin_that_does_not_load_is_named():
    with pytest.raises(ConfigError, match='plugin "gone"'):
        load_catalog([EntryPoint("gone", "no_such_module_anywhere", "broker.plugins")])
