"""Official scoring with the real OpenSim and the native engine, in short episodes."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agents.evaluator import Stopped
from agents.gait.card import gait_card
from agents.official.episode import EpisodeScore
from agents.official.kept import KeptEpisodes, folder_of
from agents.official.native import score_natively
from agents.official.processes import Job, ScoringDied
from agents.official.progress import Progress
from agents.official.rules import AS_OSIM_RL, environment_of, on_native, on_opensim
from agents.official.scoring import OfficialScoring
from agents.official.single import play_alone
from agents.official.wanted import Wanted
from agents.policy_file import policy_bytes
from agents.stopping import StopFlag
from environment.physics.native.settings import NativeSettings
from environment.prosthetics import ProstheticsEnv
from tests.bodied import body_contract, body_policy

ROOT = Path(__file__).resolve().parents[3]


def scoring_of(wanted: Wanted, data: Path, told: list[str] | None = None) -> OfficialScoring:
    return OfficialScoring(body_policy(2), wanted, data, (told if told is not None else []).append)


@pytest.mark.opensim
def test_a_policy_is_scored_on_opensim_in_processes_and_on_native_beside_it(tmp_path: Path) -> None:
    wanted = Wanted(rounds=("round2",), episodes=2, workers=1, max_steps=12)
    told: list[str] = []
    scoring = scoring_of(wanted, tmp_path, told)
    (found,) = scoring.score(StopFlag())
    assert scoring.physics == "opensim/RungeKuttaMerson/5e-05/stale-controls"
    assert {who: sorted(episodes) for who, episodes in found.episodes.items()} == {
        "policy": [11, 22, 33, 1001, 1002],
        "random": [11, 22, 33, 1001, 1002],
        "native": [11, 22, 33, 1001, 1002],
    }
    environment = ProstheticsEnv(on_opensim(environment_of(body_contract(), "prosthetics-round2", 12)))
    alone = play_alone(environment, lambda _: body_policy(2), 1001)
    environment.close()
    assert alone is not None
    assert found.episodes["policy"][1001] == alone.score
    assert alone.score.length == 12
    difference = found.difference()
    assert difference is not None
    assert difference["same_ending_rate"] == 1.0
    assert 0 < difference["largest_size"] < 1.0
    (predicted,) = score_natively(body_policy(2), [1001], settings=AS_OSIM_RL, max_steps=12)
    assert predicted.episode_return == pytest.approx(alone.score.episode_return, abs=1e-3)
    returns = {score.episode_return for score in found.episodes["random"].values()}
    assert len(returns) == 5, "random actions differ from seed to seed"
    assert told[-1].startswith("10 of 10 episodes: ")
    walks = list(scoring.walks("prosthetics-round2", StopFlag()))
    assert [walk.seed for walk in walks] == [1001, 1002]
    assert (walks[0].states == alone.states).all()
    assert gait_card(scoring.layout, walks, 700.0).seconds == pytest.approx(0.24)
    # And once more: nothing is played again.
    again: list[str] = []
    (kept,) = scoring_of(wanted, tmp_path, again).score(StopFlag())
    assert kept.episodes["policy"] == found.episodes["policy"]
    assert again == ["10 episodes were played and kept before; --fresh plays them again"]


def test_scoring_on_native_alone_needs_no_process_and_knows_all_columns(tmp_path: Path) -> None:
    scoring = scoring_of(Wanted(physics="native", episodes=3, max_steps=120), tmp_path)
    found = scoring.score(StopFlag())
    assert [one.round_name for one in found] == ["round1", "round2"]
    for one in found:
        assert list(one.columns) == ["policy", "standing", "blind_walking", "random"]
        assert one.difference() is None
        assert one.columns["standing"]["normalised"] == 0.0
        assert one.columns["blind_walking"]["normalised"] == pytest.approx(1.0), "no change of target in 1.2 s"
    assert found[0].columns["standing"]["mean"] == 0.0
    assert scoring.physics == "native/BogackiShampine32/1e-06"
    walks = list(scoring.walks("prosthetics-round2", StopFlag()))
    assert [walk.seed for walk in walks] == [1001, 1002, 1003]
    assert len(walks[0].states) == found[1].episodes["policy"][1001].length + 1
    assert not (tmp_path / "official").exists()


@pytest.mark.opensim
def test_scoring_that_is_stopped_keeps_what_was_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = StopFlag()
    monkeypatch.setattr(Progress, "__call__", lambda *_: stop.set())
    scoring = scoring_of(Wanted(rounds=("round2",), episodes=40, max_steps=10), tmp_path)
    with pytest.raises(Stopped, match=r"1 of 86 episodes are kept"):
        scoring.score(stop)
    assert len(list(tmp_path.rglob("*.npz"))) >= 1
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.opensim
def test_a_process_that_dies_is_told_of_and_the_rest_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill_the_children(*_: object) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    monkeypatch.setattr(Progress, "__call__", kill_the_children)
    scoring = scoring_of(Wanted(rounds=("round2",), episodes=40, max_steps=10), tmp_path)
    with pytest.raises(ScoringDied, match=r"a scoring process died in the middle of an episode; [0-9]+ of 86"):
        scoring.score(StopFlag())


def test_random_weights_of_another_version_or_rule_are_kept_apart(tmp_path: Path) -> None:
    first = folder_of(tmp_path, "abc", ["rule"])
    assert folder_of(tmp_path, "abc", ["rule"]) == first
    assert len({first, folder_of(tmp_path, "abd", ["rule"]), folder_of(tmp_path, "abc", ["other"])}) == 3


def test_a_kept_episode_is_read_back_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    environment = ProstheticsEnv(on_native(environment_of(body_contract(), "prosthetics-round2", 8)))
    played = play_alone(environment, lambda _: body_policy(), 11)
    assert played is not None
    kept = KeptEpisodes(tmp_path / "folder")
    assert kept.load("prosthetics-round2", 11) is None
    kept.save(played)
    stored = kept.load("prosthetics-round2", 11)
    assert stored is not None
    assert stored.score == played.score
    assert (stored.states == played.states).all()
    (path,) = (tmp_path / "folder").iterdir()
    path.write_bytes(path.read_bytes()[:-200])
    assert kept.load("prosthetics-round2", 11) is None
    path.write_bytes(b"")
    assert kept.load("prosthetics-round2", 11) is None


def test_an_episode_can_be_stopped_in_the_middle() -> None:
    environment = ProstheticsEnv(on_native(environment_of(body_contract(), "prosthetics-round2", 80)))
    asked = iter([False, False, True])
    assert play_alone(environment, lambda _: body_policy(), 11, lambda: next(asked)) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rounds": ("round3",)}, "round3"),
        ({"rounds": ()}, "needed some of round1, round2"),
        ({"physics": "mujoco"}, "needed opensim or native"),
        ({"workers": 0}, "workers is 0"),
        ({"episodes": 1001}, "1 to 1000 held-out seeds"),
    ],
)
def test_nonsense_is_refused_before_anything_is_simulated(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Wanted(**options)  # type: ignore[arg-type]


def test_settings_that_an_environment_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="every-contact"):
        on_native(environment_of(body_contract(), "prosthetics-round2"), NativeSettings(skip_contacts=False))


def test_progress_tells_a_line_every_few_seconds_with_the_time_that_is_left() -> None:
    jobs = [Job("policy", "prosthetics-round2", seed) for seed in range(8)]
    now, told = [0.0], list[str]()
    progress = Progress(jobs, told.append, lambda: now[0])
    for job in jobs:
        now[0] += 2.0
        progress(job, score_of(job.seed))
    assert len(told) == 4
    assert told[0] == "1 of 8 episodes: round2 seed 0: 9,000, 1000 steps, 11.0 m; about 14 s left"
    assert told[1].startswith("4 of 8 episodes: round2 seed 3")
    assert told[-1].endswith("about 0 s left")


def score_of(seed: int) -> EpisodeScore:
    return EpisodeScore(
        seed=seed,
        task="prosthetics-round2",
        physics="x",
        episode_return=9000.0,
        length=1000,
        ended="time_limit",
        distance_m=11.0,
        speed_error_m_per_s=0.1,
        speed_m_per_s=1.1,
    )


@pytest.mark.opensim
@pytest.mark.slow
def test_scoring_processes_do_not_outlive_a_killed_command(tmp_path: Path) -> None:
    policy = tmp_path / "policy.safetensors"
    policy.write_bytes(policy_bytes(body_policy(), {}))
    command = [sys.executable, "-m", "agents", "evaluate", "--official", "--policy", str(policy), "--workers", "2"]
    environment = os.environ | {"DATA_DIR": str(tmp_path)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    reader.start()
    given_up_s = time.monotonic() + 120
    while not any("of 212 episodes" in line for line in lines):
        assert process.poll() is None
        assert time.monotonic() < given_up_s, lines
        time.sleep(0.2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    assert len(children) >= 2
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < given_up_s, "they live on"
        time.sleep(0.2)
    reader.join()
    process.stdout.close()
