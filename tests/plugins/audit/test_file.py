"""The file device: nobody can point it elsewhere, and it never says "written" when it was not."""

import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from broker_plugins.audit.file import register_audit_devices

from broker.plugin.audit import AuditDevice, DeviceConfig, DeviceError
from broker.plugin.errors import InvalidRequest

LINE = b'{"time":"now"}\n'


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def build(
    path: Path | str, *, from_config: bool = True, beneath: Path | None = None, **options: str
) -> AuditDevice:
    kind = register_audit_devices()[0]
    bound = None if beneath is None else str(beneath)
    return kind.build(DeviceConfig("file/", {"file_path": str(path), **options}, from_config, bound))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_lines_are_appended_to_what_is_there(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(b"before\n")
    device = build(path)
    device.write(LINE)
    device.write(LINE)
    device.close()
    assert path.read_bytes() == b"before\n" + 2 * LINE


def test_building_touches_nothing(tmp_path):
    build(tmp_path / "a.log")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "expected"), [("", 0o600), ("0640", 0o640), ("0400", 0o400), ("600", 0o600)]
)
def test_the_file_gets_the_mode_asked_for(tmp_path, given, expected):
    path = tmp_path / "a.log"
    device = build(path, mode=given)
    device.write(LINE)
    device.close()
    assert mode_of(path) == expected


def test_mode_zero_keeps_an_existing_files_own(tmp_path):
    path = tmp_path / "a.log"
    path.touch(0o620)
    path.chmod(0o620)
    device = build(path, mode="0000")
    device.write(LINE)
    device.close()
    assert mode_of(path) == 0o620


@pytest.mark.parametrize(
    "mode", ["0777", "0666", "0641", "0700", "4600", "-1", "rw", "0o600", "9", "1" * 6000]
)
def test_wider_and_senseless_modes_are_refused(tmp_path, mode):
    with pytest.raises(InvalidRequest):
        build(tmp_path / "a.log", mode=mode)


@pytest.mark.parametrize("path", ["", "a.log", "./a.log", "/tmp/../etc/a.log", "/tmp/a\0.log"])
def test_paths_that_are_not_plainly_absolute_are_refused(path):
    with pytest.raises(InvalidRequest):
        build(path)


def test_the_path_alias_goes_the_same_way(tmp_path):
    kind = register_audit_devices()[0]
    device = kind.build(DeviceConfig("file/", {"path": str(tmp_path / "a.log")}, True))
    device.write(LINE)
    device.close()
    assert (tmp_path / "a.log").read_bytes() == LINE
    assert "path" in kind.path_options
    with pytest.raises(InvalidRequest):
        kind.build(DeviceConfig("file/", {"path": "relative"}, True))


@pytest.mark.parametrize("special", ["stdout", "discard", "STDOUT"])
def test_special_values_are_for_the_servers_configuration_only(special):
    with pytest.raises(InvalidRequest, match="configuration file"):
        build(special, from_config=False)
    build(special).close()


def test_stdout_gets_whole_lines(capfd):
    device = build("stdout")
    device.write(LINE)
    assert capfd.readouterr().out.encode() == LINE


def test_discard_accepts_and_keeps_nothing():
    assert build("discard").write(LINE) is None


def refuse(device: AuditDevice) -> None:
    with pytest.raises(DeviceError) as caught:
        device.write(LINE)
    assert "time" not in str(caught.value)


def test_a_symlink_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    link = tmp_path / "a.log"
    link.symlink_to(victim)
    refuse(build(link))
    assert victim.read_bytes() == b""


def test_a_fifo_is_refused_without_hanging(tmp_path):
    path = tmp_path / "a.log"
    os.mkfifo(path)
    refuse(build(path))


@pytest.mark.parametrize("path", ["/dev/full", "/dev/null"])
def test_a_device_file_is_refused(path):
    before = os.stat(path).st_mode
    refuse(build(path))
    assert os.stat(path).st_mode == before


def test_a_folder_is_refused(tmp_path):
    refuse(build(tmp_path))


def test_a_folder_on_the_way_that_is_a_link_is_not_followed_below_the_audit_directory(tmp_path):
    root, outside = tmp_path / "audit", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "team").symlink_to(outside)
    refuse(build(root / "team" / "a.log", beneath=root))
    assert list(outside.iterdir()) == []


def test_a_link_planted_after_the_first_line_is_not_followed_on_reopen(tmp_path):
    root, outside = tmp_path / "audit", tmp_path / "outside"
    (root / "team").mkdir(parents=True)
    outside.mkdir()
    device = build(root / "team" / "a.log", beneath=root)
    device.write(LINE)
    (root / "team").rename(root / "moved")
    (root / "team").symlink_to(outside)
    with pytest.raises(DeviceError):
        device.reopen()
    assert list(outside.iterdir()) == []


def test_a_file_with_a_second_name_is_refused_below_the_audit_directory(tmp_path):
    root = tmp_path / "audit"
    root.mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    os.link(victim, root / "a.log")
    refuse(build(root / "a.log", beneath=root))
    assert victim.read_bytes() == b""


def test_a_path_outside_the_audit_directory_is_refused(tmp_path):
    root = tmp_path / "audit"
    root.mkdir()
    refuse(build(tmp_path / "a.log", beneath=root))


def stale_after(device: AuditDevice, clock: Clock) -> bool:
    clock.now += 1.5
    return device.stale()


@pytest.fixture
def watched(tmp_path: Path) -> tuple[AuditDevice, Path, Clock]:
    clock = Clock()
    device = build(tmp_path / "a.log")
    device._clock = clock
    device.write(LINE)
    return device, tmp_path / "a.log", clock


def test_an_untouched_file_is_not_stale(watched):
    device, _, clock = watched
    assert not stale_after(device, clock)


def test_a_deleted_file_is_noticed_and_recreated_on_reopen(watched):
    device, path, clock = watched
    path.unlink()
    assert stale_after(device, clock)
    device.reopen()
    device.write(LINE)
    assert path.read_bytes() == LINE
    assert not stale_after(device, clock)


def test_a_rotated_file_is_noticed(watched):
    device, path, clock = watched
    path.rename(path.with_suffix(".1"))
    path.touch()
    assert stale_after(device, clock)


def test_the_check_is_made_at_most_once_a_second(watched):
    device, path, clock = watched
    assert not stale_after(device, clock)
    path.unlink()
    clock.now += 0.5
    assert not device.stale()
    clock.now += 0.6
    assert device.stale()


def test_a_closed_device_refuses_lines_and_closes_twice(watched):
    device, _, _ = watched
    device.close()
    device.close()
    refuse(device)


def test_a_line_left_unfinished_by_a_crash_is_ended_before_the_next(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(LINE + b'{"time":"cut')
    device = build(path)
    device.write(LINE)
    device.close()
    assert path.read_bytes() == LINE + b'{"time":"cut#torn\n' + LINE


def test_a_full_disk_refuses_the_line_and_the_torn_piece_is_marked_once_there_is_room(tmp_path):
    path = tmp_path / "a.log"
    script = textwrap.dedent("""
        import resource, sys
        from broker.plugin.audit import DeviceConfig, DeviceError
        from broker_plugins.audit.file import register_audit_devices
        device = register_audit_devices()[0].build(DeviceConfig("file/", {"file_path": sys.argv[1]}, True))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        line = b'{"time":"' + b"x" * 59 + b'"}\\n'
        device.write(line)
        for _ in range(3):
            try:
                device.write(line)
                sys.exit("a line beyond the limit was called written")
            except DeviceError:
                pass
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        device.write(line)
    """)
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)
    first, torn, last = path.read_bytes().splitlines()
    assert len(first) == 70
    assert torn == first[:29] + b"#torn"
    assert last == first


def test_running_out_of_descriptors_is_an_error_and_passes(tmp_path):
    device = build(tmp_path / "a.log")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        refuse(device)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    device.write(LINE)
    device.close()
    assert (tmp_path / "a.log").read_bytes() == LINE


def test_lines_acknowledged_before_a_kill_are_there_after_it(tmp_path):
    path = tmp_path / "a.log"
    script = textwrap.dedent("""
        import sys
        from broker.plugin.audit import DeviceConfig
        from broker_plugins.audit.file import register_audit_devices
        device = register_audit_devices()[0].build(DeviceConfig("file/", {"file_path": sys.argv[1]}, True))
        number = 0
        while True:
            device.write(b"%d\\n" % number)
            print(number, flush=True)
            number += 1
    """)
    worker = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    seen = [worker.stdout.readline() for _ in range(200)]
    worker.send_signal(signal.SIGKILL)
    seen += worker.communicate(timeout=30)[0].splitlines(keepends=True)
    last = int([line for line in seen if line.endswith(b"\n")][-1])
    assert path.read_bytes().split(b"\n")[: last + 1] == [b"%d" % number for number in range(last + 1)]
