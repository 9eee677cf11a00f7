"""``broker operator ceremony``: leads a room of custodians through init or unseal, one at a time.

During init one share is on the screen at a time, for one custodian, who proves to have it before it is wiped and the
next is called. During unseal each custodian types a share without echo.
"""

import secrets
from pathlib import Path

from broker.cli.cards import Card, prepare_directory, write_cards
from broker.cli.data import Data
from broker.cli.flags import Command, Flag, UsageError
from broker.cli.invocation import Failure, Invocation
from broker.cli.operator_init import INIT_FLAGS, init_request, threshold_of
from broker.cli.screen import Screen, bar, second_page
from broker.cli.shares import ask_share, expanded
from broker.client import ApiError, ClientError
from broker.plugin.errors import BrokerError
from broker.plugin.secret import Secret

PROOFS = 2
TAIL = 6
ABANDON = "abandon"


def ceremony(run: Invocation) -> int:
    """Init if the server has no keys yet, else unseal; an argument says which is expected."""
    if not run.interactive:
        raise Failure("A ceremony needs a terminal and people at it", 1)
    with run.doing("reading seal status"):
        status = run.client.request("GET", "sys/seal-status").body
    wanted = run.rest[0] if run.rest else ("unseal" if status.get("initialized") else "init")
    if wanted not in {"init", "unseal"}:
        raise UsageError('The ceremony is "init" or "unseal"')
    if wanted == "init" and status.get("initialized"):
        raise Failure("Vault is already initialized")
    if wanted == "unseal" and not status.get("initialized"):
        raise Failure("Vault is not initialized: the ceremony it needs is init")
    return _init(run) if wanted == "init" else _unseal(run, status)


def _init(run: Invocation) -> int:
    named = run.given.text("cards")
    directory = Path(named) if named else None
    if directory:
        # Before there are keys: afterwards a full disk or a wrong name would be found out too late.
        prepare_directory(directory)
    with run.doing("initializing"):
        body = init_request(run)
    with second_page() as screen:
        total, needed = threshold_of(body)
        screen.show(
            f"INIT CEREMONY at {run.client.address}",
            "",
            f"{total} shares will be made; {needed} of them, at least, will open the server.",
            *_group_lines(body),
            "",
            *_promise(directory),
            "All custodians should be in the room before you go on.",
        )
        screen.wait("Press Enter to make the keys, Ctrl-C to stop")
        with run.doing("initializing"):
            answer = run.client.write("sys/init", body).body
        cards = _cards(run, answer, body)
        # Before anybody sees one: from here on the shares exist nowhere else, and terminals get closed.
        written, failure = _written(directory, cards)
        if failure:
            screen.show(
                f"NO CARDS: {failure}. The shares are on this screen only; go on and write them down."
            )
            screen.wait()
        _show_all(screen, cards, kept=directory if directory and not failure else None)
        _show_root_token(screen, str(answer.get("root_token") or ""))
    print(f"Initialized: {total} shares handed out, {needed} needed to unseal.")
    for path in written:
        print(f"Card: {path} (print it, hand it over, then destroy the file)")
    if failure:
        raise Failure(f"The cards could not be written: {failure}", 1)
    return 0


def _promise(directory: Path | None) -> list[str]:
    """What becomes of the shares, said before there are any."""
    if directory:
        return [
            "Each share is shown once, to one custodian. Before the first is shown, all are written as cards to",
            f"  {directory}",
            "readable by you only; so nothing is lost if this terminal dies. Print them, then destroy the files.",
        ]
    return [
        "Each share is shown once, to one custodian. It is stored nowhere: if this terminal dies before the last is",
        "handed out, the others are lost, and the server must be made anew. With -cards=DIR they would be in files.",
    ]


def _written(directory: Path | None, cards: list[Card]) -> tuple[list[Path], str]:
    """Where the cards are, and why they are not: a full disk must not cost the shares too."""
    try:
        return (write_cards(directory, cards) if directory else []), ""
    except OSError as error:
        return [], f"{error.filename or directory}: {error.strerror or type(error).__name__}"


def _cards(run: Invocation, answer: Data, body: Data) -> list[Card]:
    """One card per custodian, in the order of the answer's lists."""
    prefix = "" if answer.get("keys") else "recovery_"
    plain = answer.get(f"{prefix}keys_base64") or []
    words = answer.get(f"{prefix}keys_mnemonic") or []
    groups = _places(body)
    encrypted = bool(body.get("custodian_keys") or body.get("pgp_keys") or body.get("recovery_pgp_keys"))
    return [
        Card(
            number=number + 1,
            total=len(plain),
            group=groups[number][0],
            place=groups[number][1],
            needed=groups[number][2],
            share=Secret(str(words[number] if number < len(words) else key)),
            encrypted=encrypted,
            server=run.client.address,
        )
        for number, key in enumerate(plain)
    ]


def _places(body: Data) -> list[tuple[str, str, int]]:
    """Group name, "share i of n" and the group's threshold, for each share."""
    total, needed = threshold_of(body)
    groups = body.get("secret_groups") or [{"name": "", "threshold": needed, "count": total}]
    return [
        (str(group["name"]), f"share {number} of {group['count']}", int(group["threshold"]))
        for group in groups
        for number in range(1, int(group["count"]) + 1)
    ]


def _group_lines(body: Data) -> list[str]:
    groups = body.get("secret_groups") or []
    if not groups:
        return []
    named = [f"  {group['name'] or 'a group'}: {group['threshold']} of {group['count']}" for group in groups]
    return ["", f"{body['group_threshold']} of these {len(groups)} groups:", *named]


def _show_all(screen: Screen, cards: list[Card], *, kept: Path | None) -> None:
    for done, card in enumerate(cards):
        while True:
            try:
                _hand_over(screen, card, _bars(cards, done))
                break
            except (KeyboardInterrupt, EOFError):
                # The other shares may exist only here; one wrong key must not lose them.
                _confirm_abandon(screen, len(cards) - done, kept)
    screen.clear()
    screen.show("Every share is handed out.", "", *_bars(cards, len(cards)), "")


def _hand_over(screen: Screen, card: Card, bars: list[str]) -> None:
    screen.clear()
    screen.show(*bars, "", f"Next: {card.title}", "", "Only this custodian should see the screen now.")
    screen.wait("Custodian: press Enter to see your share")
    while True:
        screen.clear()
        screen.show(card.title, "", *_share_lines(card), "", "Write it down. It is never shown again.")
        screen.wait("Press Enter when you have it, and it disappears")
        screen.clear()
        if card.encrypted or _proven(screen, card):
            return
        screen.show("That is not right; look again.")
        screen.wait()


def _share_lines(card: Card) -> list[str]:
    words = card.share.reveal().split()
    if len(words) == 1:
        return [words[0]]
    numbered = [f"{number:>3} {word:<10}" for number, word in enumerate(words, 1)]
    return ["".join(numbered[start : start + 4]).rstrip() for start in range(0, len(numbered), 4)]


def _proven(screen: Screen, card: Card) -> bool:
    """Whether the custodian can tell parts of the share, typed without echo."""
    words = card.share.reveal().split()
    screen.show(
        card.title, "", "To be sure that you have it right (first letters are enough, four always are):"
    )
    if len(words) == 1:
        return secrets.compare_digest(
            screen.ask_hidden(f"Last {TAIL} characters").encode(), words[0][-TAIL:].encode()
        )
    places = sorted(secrets.SystemRandom().sample(range(len(words)), PROOFS))
    typed = [expanded(screen.ask_hidden(f"Word {place + 1}")) for place in places]
    right = [words[place] for place in places]
    return secrets.compare_digest(" ".join(typed).encode(), " ".join(right).encode())


def _confirm_abandon(screen: Screen, left: int, kept: Path | None) -> None:
    screen.clear()
    fate = f"they are on the cards in {kept}" if kept else "they are lost, and maybe the server with them"
    screen.show(f"{left} shares have not been handed out. If you stop now {fate}.")
    try:
        answer = screen.ask(f"Type {ABANDON} to stop, anything else to go on")
    except (KeyboardInterrupt, EOFError):
        answer = ""
    if answer == ABANDON:
        where = f"are only on the cards in {kept}" if kept else "were never seen"
        raise Failure(f"Abandoned: the server is initialized, but some shares {where}", 1)


def _show_root_token(screen: Screen, token: str) -> None:
    screen.show("Last, the initial root token: for whoever sets the server up. Revoke it afterwards.")
    screen.wait("Press Enter to see it")
    screen.clear()
    screen.show("Initial Root Token:", "", f"  {token}", "")
    screen.wait("Press Enter when you have it, and it disappears")
    screen.clear()


def _bars(cards: list[Card], done: int) -> list[str]:
    """A bar for each group: how many of its shares are handed out."""
    names = list(dict.fromkeys(card.group for card in cards))
    rows = []
    for name in names:
        mine = [card for card in cards if card.group == name]
        rows.append(f"{name or 'shares':<16} {bar(sum(card.number <= done for card in mine), len(mine))}")
    return rows


def _unseal(run: Invocation, status: Data) -> int:
    note, target = "", str(status.get("type")) if status.get("migration") else ""
    with second_page() as screen:
        while status.get("sealed"):
            screen.clear()
            screen.show(*_unseal_title(run, target), "", *unseal_bars(status), "")
            if note:
                screen.show(note, "")
            screen.wait("Next custodian: press Enter, then type your share")
            status, note = _take_share(run, status)
    print(f'Moved to the seal "{target}" and unsealed.' if target else "Unsealed.")
    return 0


def _unseal_title(run: Invocation, target: str) -> list[str]:
    """What is going on; ``target`` is the seal that the server moves to, if it does."""
    if not target:
        return [f"UNSEAL CEREMONY at {run.client.address}"]
    return [
        f"SEAL MIGRATION CEREMONY at {run.client.address}",
        "",
        f'The server moves to the seal "{target}". Your share stays valid: keep it.',
    ]


def _take_share(run: Invocation, status: Data) -> tuple[Data, str]:
    """Submit one share. A refused one costs nothing but another try."""
    try:
        share = ask_share("Unseal Key")
        body = {"key": share.reveal(), "migrate": bool(status.get("migration"))}
        return run.client.write("sys/unseal", body).body, "Taken. Thank you."
    except EOFError:
        return status, "Nothing was typed."
    except ApiError as error:
        refused = "; ".join(error.errors) or f"status {error.status}"
    except ClientError:
        raise
    except BrokerError as error:
        refused = str(error)
    return run.client.request("GET", "sys/seal-status").body, f"NOT taken: {refused}"


def unseal_bars(status: Data) -> list[str]:
    """A bar for each group of custodians, or one for all where there are no groups."""
    groups = status.get("groups") or []
    if not groups:
        return [f"{'shares':<16} {bar(int(status.get('progress') or 0), int(status.get('t') or 0))}"]
    rows = [
        f"{group.get('name') or 'group'!s:<16} {bar(int(group['progress'] or 0), int(group['threshold'] or 0))}"
        for group in groups
    ]
    return [*rows, "", f"{status.get('group_threshold')} of these groups are needed"]


CEREMONY = Command(
    ceremony,
    "operator ceremony [options] [init | unseal]",
    "Lead a room of custodians through init or unseal: one share on the screen at a time. A server that moves to\n"
    "another seal takes the shares for that.\n\n"
    '    broker operator ceremony init -secret-groups="security:3/5,board:1/1" -group-threshold=2 -cards=cards\n'
    "    broker operator ceremony unseal",
    (*INIT_FLAGS, Flag("cards", "Directory for one printable HTML card per custodian.")),
    (0, 1),
    shows="text",
)
