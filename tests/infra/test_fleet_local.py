"""Processes on this machine: restarted when they die, killed when they hang, stopped in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from infra.fleet.local import LocalFleet, Patience, ProcessSpec, peak_memory_mb, processor_s
from tests.clock import Clock

ROOT = Path(__file__).resolve().parents[2]
QUICK = Patience(first_pause_s=0.2, longest_pause_s=0.8, calm_s=60.0, silent_s=0.6)
SLEEP = "import time; print('here', flush=True); time.sleep(600)"
STATUS = """
import pathlib, sys, time
path = pathlib.Path(sys.argv[1])
path.parent.mkdir(exist_ok=True)
path.write_text('{}')
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LocalFleet]:
    made = LocalFleet(tmp_path, os.environ, QUICK)
    yield made
    made.stop(grace_s=0.0)


def spec(code: str, *arguments: str, name: str = "p", restart: bool = True, nice: int = 0) -> ProcessSpec:
    return ProcessSpec(name, ("-c", code, *arguments), restart=restart, nice=nice)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The fleet's."""
    made = Clock()
    monkeypatch.setattr("infra.fleet.local.time", made)
    return made


def tend_until(fleet: LocalFleet, condition: Callable[[], bool], undisturbed_s: float = 0.0) -> None:
    given_up_s = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < given_up_s, "never happened"
        fleet.tend(undisturbed_s)
        time.sleep(0.02)


def says(fleet: LocalFleet, text: str, name: str = "p") -> Callable[[], bool]:
    return lambda: text in fleet.last_words(name)


def test_a_process_killed_by_hand_starts_again_as_a_new_one(fleet: LocalFleet) -> None:
    fleet.start(spec(SLEEP))
    child = fleet.children["p"]
    tend_until(fleet, says(fleet, "here"))
    first = child.process.pid
    os.kill(first, signal.SIGKILL)
    tend_until(fleet, lambda: child.restarts == 1)
    assert child.alive
    assert child.process.pid != first
    assert child.exits == [-signal.SIGKILL]


def test_pauses_grow_to_a_limit_while_a_process_keeps_dying(clock: Clock, fleet: LocalFleet) -> None:
    fleet.start(spec("raise SystemExit('no good')"))
    child = fleet.children["p"]
    for restarts, pause_s in enumerate((0.2, 0.4, 0.8, 0.8)):
        child.process.wait()
        fleet.tend(0.0)
        clock.sleep(pause_s - 0.01)
        fleet.tend(0.0)
        assert child.restarts == restarts, "too early"
        clock.sleep(0.02)
        fleet.tend(0.0)
        assert child.restarts == restarts + 1
    assert child.exits == [1] * 4
    assert fleet.last_words("p", lines=1) == "no good"


def test_a_process_that_lived_long_enough_starts_again_after_the_first_pause(clock: Clock, fleet: LocalFleet) -> None:
    fleet.start(spec("raise SystemExit(3)"))
    child = fleet.children["p"]
    pauses_s: list[float] = []
    for lived_s in (1.0, 1.0, QUICK.calm_s + 1.0, 1.0):
        child.process.wait()
        clock.sleep(lived_s)
        fleet.tend(0.0)
        assert child.due_s is not None
        pauses_s.append(child.due_s - clock.monotonic())
        clock.sleep(2.0)
        fleet.tend(0.0)
    assert pauses_s == pytest.approx([0.2, 0.4, 0.2, 0.4])


def test_a_process_that_ends_well_is_done(clock: Clock, fleet: LocalFleet) -> None:
    fleet.start(spec("print('finished')"))
    child = fleet.children["p"]
    tend_until(fleet, lambda: not child.alive)
    for _ in range(20):
        fleet.tend(0.0)
        clock.sleep(0.1)
    assert child.done
    assert (child.restarts, child.exits) == (0, [])


def test_a_process_that_shall_not_restart_stays_dead(clock: Clock, fleet: LocalFleet) -> None:
    fleet.start(spec("raise SystemExit(1)", restart=False))
    child = fleet.children["p"]
    tend_until(fleet, lambda: not child.alive)
    fleet.tend(0.0)
    clock.sleep(100.0)
    fleet.tend(0.0)
    assert (child.done, child.restarts) == (True, 0)


def test_stop_asks_first_and_waits(fleet: LocalFleet) -> None:
    code = """
import signal, sys, time
def end(*_):
    time.sleep(0.5); print('written', flush=True); sys.exit(0)
signal.signal(signal.SIGTERM, end)
print('ready', flush=True); time.sleep(600)
"""
    fleet.start(spec(code))
    tend_until(fleet, says(fleet, "ready"))
    assert fleet.stop(grace_s=60.0) == []
    assert fleet.last_words("p", lines=1) == "written"
    assert fleet.children["p"].process.returncode == 0


def test_stop_kills_what_does_not_listen_and_names_it(fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)"
    fleet.start(spec(f"{ignore}; import time; time.sleep(600)", name="deaf"))
    fleet.start(spec(SLEEP, name="other"))
    tend_until(fleet, lambda: says(fleet, "deaf", "deaf")() and says(fleet, "here", "other")())
    deaf = fleet.children["deaf"].process
    wait = deaf.wait
    # It never ends by itself: the time is left to the other, which may need it on a busy machine.
    monkeypatch.setattr(deaf, "wait", lambda timeout=None: wait(0.2 if timeout else None))
    assert fleet.stop(grace_s=60.0) == ["deaf"]
    assert deaf.returncode == -signal.SIGKILL
    assert not any(child.alive for child in fleet.children.values())


def test_a_stopped_process_stays_stopped_while_the_others_are_tended(clock: Clock, fleet: LocalFleet) -> None:
    for name in ("a", "b"):
        fleet.start(spec(SLEEP, name=name))
    tend_until(fleet, lambda: says(fleet, "here", "a")() and says(fleet, "here", "b")())
    fleet.stop(["a"], grace_s=60.0)
    assert fleet.children["a"].process.returncode != 0
    for _ in range(20):
        fleet.tend(0.0)
        clock.sleep(0.1)
    assert fleet.children["a"].done
    assert fleet.children["b"].alive


def test_a_process_whose_restart_is_due_is_not_started_by_stop(clock: Clock, fleet: LocalFleet) -> None:
    fleet.start(spec("raise SystemExit(1)"))
    child = fleet.children["p"]
    tend_until(fleet, lambda: child.due_s is not None)
    fleet.stop()
    clock.sleep(100.0)
    fleet.tend(0.0)
    assert (child.done, child.restarts) == (True, 0)


def test_a_silent_process_is_killed_only_while_the_services_answer(fleet: LocalFleet, tmp_path: Path) -> None:
    fleet.start(spec(STATUS + "print('hangs', flush=True); time.sleep(600)", str(tmp_path / "status" / "p.json")))
    child = fleet.children["p"]
    tend_until(fleet, says(fleet, "hangs"))
    for _ in range(12):
        fleet.tend(0.5)
        time.sleep(0.1)
    assert child.alive, "it waits for a service that was away until half a second ago"
    assert child.exits == []
    tend_until(fleet, lambda: child.restarts == 1, undisturbed_s=100.0)
    assert child.exits == [-signal.SIGKILL]


def test_a_process_is_killed_when_it_gives_no_sign_of_life_any_more(
    clock: Clock, fleet: LocalFleet, tmp_path: Path
) -> None:
    fleet.start(spec(STATUS + "print('lives', flush=True); time.sleep(600)", str(tmp_path / "status" / "p.json")))
    child = fleet.children["p"]
    tend_until(fleet, says(fleet, "lives"))
    for _ in range(15):
        os.utime(tmp_path / "status" / "p.json", (clock.time(), clock.time()))
        clock.sleep(QUICK.silent_s - 0.1)
        fleet.tend(100.0)
    assert child.alive
    assert child.restarts == 0
    clock.sleep(0.2)
    fleet.tend(100.0)
    assert child.process.wait() == -signal.SIGKILL


def test_a_process_that_never_says_anything_is_killed_too(fleet: LocalFleet) -> None:
    fleet.start(spec(SLEEP))
    child = fleet.children["p"]
    tend_until(fleet, lambda: child.restarts == 1, undisturbed_s=100.0)
    assert child.exits == [-signal.SIGKILL]


def test_a_former_life_s_status_does_not_count(fleet: LocalFleet, tmp_path: Path) -> None:
    status = tmp_path / "status" / "p.json"
    status.parent.mkdir()
    status.write_text("{}")
    os.utime(status, (0, 0))
    fleet.start(spec(SLEEP))
    assert not status.exists()


def test_memory_peaks_are_those_of_the_kernel_and_outlive_the_process(fleet: LocalFleet) -> None:
    grow = "import time; block = bytearray(80 * 2**20); del block; print('grown', flush=True); time.sleep(600)"
    fleet.start(spec(grow))
    child = fleet.children["p"]
    tend_until(fleet, says(fleet, "grown"))
    fleet.tend(0.0)
    assert 80 < child.peak_memory_mb < 400
    assert psutil.Process(child.process.pid).memory_info().rss < 60 * 2**20, "the peak is over"
    peak = child.peak_memory_mb
    fleet.stop(grace_s=60.0)
    assert child.peak_memory_mb >= peak
    assert peak_memory_mb(child.process.pid) == 0.0


def test_logs_of_all_lives_are_kept_in_one_file(fleet: LocalFleet, tmp_path: Path) -> None:
    fleet.start(spec("import os, sys; print('out', os.getpid(), flush=True); sys.exit('bad end')"))
    child = fleet.children["p"]
    first = child.process.pid
    tend_until(fleet, lambda: child.restarts == 1)
    second = child.process.pid
    tend_until(fleet, lambda: not child.alive)
    lines = (tmp_path / "logs" / "p.log").read_text().splitlines()
    assert lines[:4] == [f"out {first}", "bad end", f"out {second}", "bad end"]
    assert fleet.last_words("p", lines=2) == f"out {second} | bad end"
    assert fleet.last_words("unknown") == ""


def test_a_name_is_used_once(fleet: LocalFleet) -> None:
    fleet.start(spec(SLEEP))
    with pytest.raises(ValueError, match="'p' runs already"):
        fleet.start(spec(SLEEP))


def test_children_run_in_the_repository_with_the_given_environment_and_niceness(tmp_path: Path) -> None:
    fleet = LocalFleet(tmp_path, os.environ | {"COLOUR": "green"}, QUICK)
    fleet.start(spec("import os; print(os.getcwd(), os.environ['COLOUR'], os.nice(0), flush=True)", nice=7))
    child = fleet.children["p"]
    tend_until(fleet, lambda: not child.alive)
    assert fleet.last_words("p") == f"{ROOT} green {min(os.nice(0) + 7, 19)}"


SUPERVISOR = """
import os, sys, time
from pathlib import Path
from infra.fleet.local import LocalFleet, ProcessSpec
child = '''
from agents.stopping import stop_on_signals
flag = stop_on_signals()
print("ready", flush=True)
print("asked" if flag.wait(600) else "never asked", flush=True)
'''
fleet = LocalFleet(Path(sys.argv[1]), os.environ)
fleet.start(ProcessSpec("child", ("-c", child)))
while "ready" not in fleet.last_words("child"):
    time.sleep(0.02)
print(fleet.children["child"].process.pid, flush=True)
time.sleep(600)
"""


def test_a_child_ends_well_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    child = psutil.Process(int(supervisor.stdout.readline()))
    assert child.is_running()
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    child.wait(timeout=60)
    assert (tmp_path / "logs" / "child.log").read_text().splitlines() == ["ready", "asked"]


def test_a_process_that_nobody_supervises_is_not_asked_to_stop() -> None:
    code = "from agents.stopping import stop_on_signals; print(stop_on_signals()())"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_a_process_whose_supervisor_died_before_it_looked_stops_at_once() -> None:
    code = "from agents.stopping import stop_on_signals; print(stop_on_signals()())"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    environment = os.environ | {"PROSTHETICS_SUPERVISED": str(dead.pid)}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=environment
    )
    assert found.stdout == "True\n"


def test_the_second_interrupt_ends_a_process_that_does_not_look_at_its_flag() -> None:
    code = """
import threading, time
from agents.stopping import stop_on_signals
flag = stop_on_signals()
threading.Thread(target=lambda: print("heard", flag.wait(600), flush=True), daemon=True).start()
print("ready", flush=True)
try:
    for _ in range(6000):  # a signal in the moment before a sleep begins is only heard after it
        time.sleep(0.1)
except KeyboardInterrupt:
    print("interrupted", flag(), flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "heard True\n"
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    try:
        assert process.communicate(timeout=60)[0] == "interrupted True\n"
    finally:
        process.kill()
        process.wait()


BURN = """
import sys, time
while time.process_time() < float(sys.argv[1]): pass
sys.exit(int(sys.argv[2]))
"""
A_TICK_S = 0.02
"""The processor time of a process that runs is told in ticks of 10 ms, user and system apart."""


def test_the_processor_time_of_a_process_is_that_of_all_its_lives(fleet: LocalFleet) -> None:
    fleet.start(spec(BURN, "0.4", "1"))
    tend_until(fleet, lambda: fleet.children["p"].restarts == 2)
    used_s = fleet.children["p"].processor_s
    assert 0.8 <= used_s < 2.0, "two whole lives, and the third that has begun"
    fleet.stop(grace_s=0.0)
    assert used_s - A_TICK_S <= fleet.children["p"].processor_s + 1e-9 < used_s + 0.6


def test_what_a_process_uses_while_it_stops_is_counted(fleet: LocalFleet) -> None:
    burn_at_the_end = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: exit())\n"
    burn_at_the_end += "def burn(until_s):\n    while time.process_time() < until_s: pass\n"
    burn_at_the_end += "def exit():\n    burn(1.0)\n    sys.exit()\n"
    # What starting takes can be less than a tick on a fast machine, so it burns a little before it says so, too.
    fleet.start(spec(burn_at_the_end + "burn(0.1)\nprint('here', flush=True)\ntime.sleep(600)"))
    tend_until(fleet, says(fleet, "here"))
    assert 0.1 - A_TICK_S <= fleet.children["p"].processor_s < 0.8
    assert fleet.stop() == []
    assert 1.0 <= fleet.children["p"].processor_s < 1.8


def test_what_a_process_has_had_others_do_is_counted_too(fleet: LocalFleet) -> None:
    parent = "import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', *sys.argv[1:]])\n"
    fleet.start(spec(parent + "print('here', flush=True)\ntime.sleep(600)", BURN, "0.5", "0"))
    tend_until(fleet, says(fleet, "here"))
    assert fleet.children["p"].processor_s >= 0.5 - A_TICK_S
    fleet.stop(grace_s=0.0)
    assert fleet.children["p"].processor_s >= 0.5


def test_a_process_that_is_gone_has_no_processor_time() -> None:
    used = os.times()
    assert processor_s(os.getpid()) == pytest.approx(sum(used[:4]), abs=0.5)
    assert processor_s(2**22 + 1) == 0.0


def test_what_a_process_has_used_is_counted_however_soon_it_ends_when_it_is_killed(fleet: LocalFleet) -> None:
    """Whoever sends a signal may be the first to see that the process is over."""
    fleet.start(spec(BURN, "0.3", "0"))
    child = fleet.children["p"]
    os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
    child.kill()
    assert not child.alive
    assert child.processor_s >= 0.3
