"""The lifetime watcher against a clock that jumps as far as the watcher wants to wait."""

import math

import pytest

from broker.client import ApiError, Kind, LifetimeWatcher, Reply, Unreachable


class Time:
    """Stands in for the clock and for ``threading.Event``: waiting passes at once and is written down."""

    def __init__(self, steps: int = 50) -> None:
        self.now = 1000.0
        self.waits = []
        self.steps = steps

    def wait(self, seconds: float | None) -> bool:
        self.waits.append(seconds)
        if seconds is None or len(self.waits) > self.steps:
            return True
        self.now += seconds
        return False


class Server:
    """Answers what it is told to, in order; an exception is raised."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.asked = []
        self.token = None

    def write(self, path, data=None):
        self.asked.append((path, data))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def token(seconds, renewable=True, name="hvs.one", **body):
    auth = {"client_token": name, "lease_duration": seconds, "renewable": renewable}
    return Reply(200, {"auth": auth, **body}, {})


def leased(seconds, renewable=True):
    body = {"lease_id": "db/creds/app/x", "lease_duration": seconds, "renewable": renewable, "data": {}}
    return Reply(200, body, {})


def watch(time, server, secret=None, **more):
    changes = []
    LifetimeWatcher(
        server,
        secret,
        told=changes.append,
        clock=lambda: time.now,
        wall=lambda: time.now,
        chance=lambda: 0.0,
        **more,
    ).run(time)
    return changes


def kinds(changes):
    return [change.kind for change in changes]


def test_a_token_is_renewed_at_two_thirds_of_its_life_for_as_long_as_that_works():
    time, server = Time(steps=3), Server(token(90), token(90), token(90))
    changes = watch(time, server, token(90))
    assert kinds(changes) == [Kind.OBTAINED, Kind.RENEWED, Kind.RENEWED, Kind.RENEWED]
    assert time.waits[:3] == pytest.approx([60, 60, 60])
    assert server.asked[0] == ("auth/token/renew-self", {})
    assert changes[-1].expires_at == pytest.approx(1000 + 3 * 60 + 90)


def test_chance_takes_up_to_a_tenth_off_the_wait():
    time, server = Time(steps=0), Server()
    LifetimeWatcher(server, token(90), clock=lambda: time.now, chance=lambda: 1.0).run(time)
    assert time.waits == [pytest.approx(54)]


def test_near_the_maximum_it_logs_in_again_instead_of_renewing():
    time = Time(steps=2)
    server = Server(token(20))  # of 90 at first: a maximum is near
    changes = watch(time, server, token(90), obtain=lambda client: token(90, name="hvs.two"))
    assert kinds(changes) == [Kind.OBTAINED, Kind.RENEWED, Kind.OBTAINED]
    assert server.token.reveal() == "hvs.two"
    assert len(server.asked) == 1


def test_a_refused_renewal_leads_to_a_login_at_once():
    time, server = Time(steps=1), Server(ApiError(403, ["permission denied"]))
    changes = watch(time, server, token(90), obtain=lambda client: token(90))
    assert kinds(changes) == [Kind.OBTAINED, Kind.OBTAINED]


def test_trouble_on_the_way_is_tried_again_before_the_token_is_over():
    time = Time(steps=4)
    server = Server(Unreachable("no"), ApiError(503, ["Vault is sealed"]), ApiError(429, []), token(90))
    changes = watch(time, server, token(90))
    assert kinds(changes) == [Kind.OBTAINED, *[Kind.FAILING] * 3, Kind.RENEWED]
    assert changes[2].reason == "503: Vault is sealed"
    assert time.waits[1:4] == pytest.approx([0.5, 1, 2])


def test_a_login_that_fails_is_tried_for_ever_less_and_less_often():
    time = Time(steps=20)

    def refused(client):
        raise ApiError(400, ["invalid role or secret ID"])

    changes = watch(time, Server(), obtain=refused)
    assert set(kinds(changes)) == {Kind.FAILING}
    assert time.waits[0] == 0
    assert time.waits[-1] == pytest.approx(30)


def test_without_a_way_to_log_in_it_lives_to_its_end_and_says_so():
    time, server = Time(), Server(ApiError(400, ["lease is not renewable"]))
    changes = watch(time, server, token(90))
    assert kinds(changes) == [Kind.OBTAINED, Kind.ENDED]
    assert time.now == pytest.approx(1090)
    assert changes[-1].expires_at == pytest.approx(1090)


def test_what_cannot_be_renewed_is_not_asked_to():
    time, server = Time(), Server()
    assert kinds(watch(time, server, token(90, renewable=False))) == [Kind.OBTAINED, Kind.ENDED]
    assert server.asked == []


def test_what_never_expires_is_left_alone():
    time, server = Time(), Server()
    changes = watch(time, server, token(0, renewable=False))
    assert time.waits == [None]
    assert changes[0].expires_at == math.inf


def test_a_lease_is_renewed_by_its_id_with_the_increment_asked_for():
    time, server = Time(steps=1), Server(leased(60))
    changes = watch(time, server, leased(60), increment_seconds=120)
    assert server.asked == [("sys/leases/renew", {"lease_id": "db/creds/app/x", "increment": 120})]
    assert kinds(changes) == [Kind.OBTAINED, Kind.RENEWED]


def test_the_servers_warnings_come_along():
    time = Time(steps=1)
    server = Server(token(90, warnings=["TTL value is capped accordingly"]))
    assert watch(time, server, token(90))[-1].warnings == ("TTL value is capped accordingly",)


def test_nothing_to_watch_is_a_mistake():
    with pytest.raises(ValueError, match="needs a secret"):
        LifetimeWatcher(Server())


def test_the_example_of_the_documentation_watches(server, monkeypatch):
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "lifetimes.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    server.answers["PUT /v1/auth/approle/login"] = (
        200,
        {"auth": {"client_token": "hvs.x", "lease_duration": 60, "renewable": True}},
        {},
    )
    monkeypatch.setenv("BROKER_ADDR", server.address)
    names = {"role_id": "r", "secret_id": "s"}
    exec(compile(code, "docs/lifetimes.md", "exec"), names)
    names["watcher"]._told = lambda change: names["stop"].set()
    names["thread"].start()
    names["thread"].join(10)
    assert not names["thread"].is_alive()
    assert names["client"].token.reveal() == "hvs.x"
    names["client"].close()
