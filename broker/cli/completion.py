"""``broker completion bash|zsh|fish``: a completion script made from the table of commands and their flags."""

from importlib import import_module

from broker.cli.commands import COMMANDS, GROUPS, children
from broker.cli.flags import Command, UsageError
from broker.cli.invocation import Invocation
from broker.cli.runner import all_flags

BASH = """# bash completion for broker; use: source <(broker completion bash)
_broker() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" path="" word
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$word" in -*) ;; *) path="${{path:+$path }}$word" ;; esac
    done
    while :; do
        case "$path" in
{cases}
        *) if [ -z "$path" ]; then return; fi
           case "$path" in *" "*) path="${{path% *}}" ;; *) return ;; esac ;;
        esac
    done
}}
complete -o default -F _broker broker
"""
BASH_CASE = '        "{name}") COMPREPLY=($(compgen -W "{words}" -- "$cur")); return ;;'
ZSH = "#compdef broker\n# zsh completion for broker; use: source <(broker completion zsh)\nautoload -U +X bashcompinit && bashcompinit\n"


def completion(run: Invocation) -> int:
    """Print the script for one shell."""
    shell = run.rest[0]
    if shell not in {"bash", "zsh", "fish"}:
        raise UsageError("Completion is there for bash, zsh and fish")
    print(_fish() if shell == "fish" else (ZSH if shell == "zsh" else "") + _bash(), end="")
    return 0


def words_after(name: str) -> list[str]:
    """What may follow a command or group: its subcommands, or its flags."""
    if name in COMMANDS:
        return [f"-{flag}{'' if switch else '='}" for flag, _, switch in _flags(name)]
    return list(children(name))


def _flags(name: str) -> list[tuple[str, str, bool]]:
    target = COMMANDS[name].target
    if not target:
        return []
    module, _, attribute = target.partition(":")
    command: Command = getattr(import_module(f"broker.cli.{module}"), attribute)
    return [(flag.name, flag.help, flag.kind == "switch") for flag in all_flags(command)]


def _names() -> list[str]:
    return ["", *sorted({*GROUPS, *COMMANDS})]


def _bash() -> str:
    cases = [BASH_CASE.format(name=name, words=" ".join(words_after(name))) for name in _names()]
    return BASH.format(cases="\n".join(cases))


def _fish() -> str:
    lines = ["# fish completion for broker; use: broker completion fish | source", "complete -c broker -f"]
    for group in ["", *sorted(GROUPS)]:
        seen = f"__fish_seen_subcommand_from {group.split()[-1]}" if group else "__fish_use_subcommand"
        for name, summary in children(group).items():
            lines.append(f"complete -c broker -n '{seen}' -a {name} -d '{_quoted(summary)}'")
    for name in sorted(COMMANDS):
        for flag, text, switch in _flags(name):
            seen = " ; and ".join(f"__fish_seen_subcommand_from {word}" for word in name.split())
            value = "" if switch else " -r"
            lines.append(f"complete -c broker -n '{seen}' -o {flag}{value} -d '{_quoted(text)}'")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


COMPLETION = Command(
    completion,
    "completion bash|zsh|fish",
    "Print a completion script.\n\n    source <(broker completion bash)",
    (),
    (1, 1),
    connects=False,
    shows="text",
)
