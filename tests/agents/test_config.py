"""The configuration of a run: every setting goes out and comes back, every senseless one is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.config import (
    EvaluationConfig,
    LearnerConfig,
    RunConfig,
    check_run_name,
    data_dir,
    load_config,
)
from agents.plain import ConfigError
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay_config import ReplayConfig
from tests.contracts.replay_samples import sample_run

CHANGED: dict[str, Any] = {
    "environment": {
        "task": "intact-round1",
        "integrator": "RungeKuttaMerson",
        "accuracy": 1e-4,
        "stale_controls": True,
        "frame_skip": [1, 5],
        "bins": 2,
        "reward": "round2",
        "shaping": {"lean": 0.5},
        "aborts": [],
        "max_steps": 120,
    },
    "exploration": {
        "kind": "gaussian",
        "sigma_min": 0.1,
        "sigma_max": 0.2,
        "noise_free_share": 0.0,
        "theta_per_s": 2.0,
        "beta": 0.5,
        "resample_decisions": 8,
        "correlated_share": 1.0,
    },
    "replay": {
        "explore_timesteps": 10,
        "capacity_timesteps": 20,
        "write_batch": 7,
        "n_step": 3,
        "gamma": 0.9,
        "samples_per_timestep": 8.0,
    },
    "algorithm": {"name": "ddpg", "settings": {"hidden": [40, 30]}},
    "learner": {
        "batch_size": 16,
        "publish_seconds": 2.0,
        "publish_updates": 100,
        "keep_versions": 2,
        "threads": 2,
        "device": "cuda:1",
        "seed": 9,
        "reward_scale": 1.0,
        "reward_offset": -8.0,
        "lease_seconds": 6.0,
    },
    "rollout": {"bodies": 16},
    "evaluation": {"seeds": [0, 4294967295], "official": True, "confirm_episodes": 2},
}


def test_every_default_goes_out_and_comes_back() -> None:
    config = RunConfig()
    assert RunConfig.of(config.plain()) == config
    assert RunConfig.of(json.loads(json.dumps(config.plain()))) == config
    assert RunConfig.of({}) == config


def test_every_setting_can_be_changed_and_comes_back() -> None:
    config = RunConfig.of(CHANGED)
    assert RunConfig.of(json.loads(json.dumps(config.plain()))) == config
    defaults = RunConfig().plain()
    for section, settings in CHANGED.items():
        for name, value in settings.items():
            assert config.plain()[section][name] == value, name
            if name != "aborts":
                assert defaults[section][name] != value, f"{name} was not changed, so this test shows nothing of it"
    assert config.environment.frame_skip == (1, 5)


def test_algorithm_settings_given_as_tuples_equal_those_given_as_lists() -> None:
    tuples = RunConfig.of({"algorithm": {"settings": {"hidden": (8, 8)}}})
    assert RunConfig.of(tuples.plain()) == tuples


@pytest.mark.mongo
@pytest.mark.parametrize("plain", [{}, CHANGED])
def test_a_configuration_comes_back_equal_from_the_run_s_document(
    plain: dict[str, Any], mongodb_uri: str, database_name: str
) -> None:
    config = RunConfig.of(plain)
    replay = MongoReplay(mongodb_uri, database_name)
    replay.open_run(sample_run(config=config.plain()))
    replay.close()
    again = MongoReplay(mongodb_uri, database_name)
    assert RunConfig.of(again.run("run").config) == config
    again.close()


def test_a_toml_file_is_read_and_settings_lie_on_top(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[environment]\ntask = "prosthetics-round1"\nmax_steps = 50\n[learner]\nbatch_size = 64\n')
    config = load_config(path, ["learner.batch_size=128", "environment.bins=2"])
    assert (config.environment.task, config.environment.max_steps) == ("prosthetics-round1", 50)
    assert (config.learner.batch_size, config.environment.bins) == (128, 2)


def test_settings_are_json_or_else_text() -> None:
    config = load_config(
        None,
        [
            "environment.frame_skip=[1,5]",
            "environment.bins=null",
            "environment.task = prosthetics-round1",
            'algorithm.settings={"hidden": [16, 16]}',
            "evaluation.official=true",
            "replay.gamma=0",
            "environment.shaping.lean=0.5",
        ],
    )
    assert config.environment.frame_skip == (1, 5)
    assert config.environment.bins is None
    assert config.environment.task == "prosthetics-round1"
    assert config.algorithm.settings == {"hidden": [16, 16]}
    assert config.evaluation.official is True
    assert config.replay == ReplayConfig(gamma=0.0)
    assert config.environment.shaping == {"lean": 0.5}


def test_a_file_that_is_missing_broken_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*absent.toml: No such file"):
        load_config(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[learner\n")
    with pytest.raises(ConfigError, match=r"broken.toml is no valid TOML"):
        load_config(broken)
    broken.write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match=r"broken.toml is no valid TOML"):
        load_config(broken)
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("learner.batch_size", "must look like learner.batch_size=128"),
        ("learner.batchsize=3", "no setting 'learner.batchsize'; did you mean 'batch_size'"),
        ("lerner.batch_size=3", "no setting 'lerner'; did you mean 'learner'"),
        ("learner=3", "learner is 3, it must be a table"),
        ("learner.batch_size.x=3", "learner.batch_size is .*int|no table"),
        ("environment.task=walk", "no task 'walk'; there are prosthetics-round1"),
        ("environment.physics=mujoco", "physics 'mujoco' is unknown"),
        ("environment.frame_skip=0", "frame"),
        ("environment.bins=1", "bins=1"),
        ("environment.max_steps=1001", "max_steps=1001 must be a whole number in 1..1000"),
        ("environment.reward=glory", "reward 'glory' is unknown; there are round1, round2"),
        ('environment.shaping={"glory": 1}', "shaped reward 'glory' is unknown"),
        ("replay.explore_timesteps=-1", "explore_timesteps=-1"),
        ("replay.capacity_timesteps=100", "the learner would wait forever"),
        ("replay.write_batch=0", "write_batch=0"),
        ("replay.n_step=0", "n_step=0"),
        ("replay.gamma=1", "gamma=1"),
        ("replay.gamma=-0.1", "gamma=-0.1"),
        ("replay.gamma=NaN", "gamma=nan"),
        ("replay.samples_per_timestep=0", "would never start"),
        ("replay.samples_per_timestep=NaN", "would never start"),
        ("algorithm.name=sac", "'sac', needed one of ddpg, td3"),
        ('algorithm.settings={"bins": 2}', "bins belongs to"),
        ('algorithm.settings={"hiden": [2]}', "no setting 'settings.hiden'; did you mean 'hidden'"),
        ('algorithm.settings={"hidden": "wide"}', "settings.hidden is 'wide', it must be"),
        ('algorithm.settings={"actor_lr": "fast"}', "settings.actor_lr is 'fast', it must be float"),
        ('algorithm.settings={"actor_lr": 2}', "actor_lr is 2.0, needed a number between 0 and 1"),
        ("learner.batch_size=0", "batch_size=0"),
        ("learner.threads=0", "threads=0"),
        ("learner.keep_versions=0", "keep_versions=0"),
        ("learner.publish_seconds=0", "no worker would ever see a policy"),
        ("learner.publish_seconds=NaN", "no worker would ever see a policy"),
        ("learner.publish_updates=0", "no worker would ever see a policy"),
        ("learner.reward_scale=0", "reward_scale=0"),
        ("learner.reward_scale=-1", "reward_scale=-1"),
        ("learner.reward_scale=NaN", "reward_scale=nan"),
        ("learner.reward_scale=Infinity", "reward_scale=inf"),
        ("learner.reward_offset=NaN", "reward_offset=nan"),
        ("learner.device=gpu", "must be auto, cpu, cuda or cuda:N"),
        ("learner.lease_seconds=4", "at least 5"),
        ("learner.lease_seconds=NaN", "at least 5"),
        ("evaluation.seeds=[]", "at least one"),
        ("evaluation.confirm_physics=mujoco", "confirm_physics='mujoco' is unknown; there are"),
        ("evaluation.confirm_integrator=DormandPrince54", "belongs to physics='native'; physics='opensim' has"),
        ("evaluation.confirm_accuracy=0", "integrator accuracy 0 is outside"),
        ("evaluation.every_versions=0", "every_versions=0 must be at least 1; no version would be scored"),
        ("evaluation.confirm_episodes=0", "confirm_episodes=0 must be at least 1"),
        ("evaluation.seeds=[1,1]", "must be different ones"),
        ("evaluation.seeds=[-1]", r"must be whole numbers in 0\.\."),
        ("evaluation.seeds=[4294967296]", r"must be whole numbers in 0\.\."),
        ("learner.seed=-1", "seed=-1 must be a whole number from 0"),
        ("exploration.kind=loud", "exploration kind|exploration.kind"),
        ("exploration.sigma_min=0", "sigma_min"),
        ("exploration.beta=3", r"beta is 3.0, needed 0\.\.2"),
        ("exploration.resample_decisions=0", "resample_decisions is 0"),
        ("exploration.correlated_share=-1", "correlated_share is -1.0"),
        ('algorithm.settings={"lr_schedule": {"decay": "cosine"}}', "a cosine decay needs at least 1"),
        ('algorithm.settings={"lr_schedule": {"warmup": 3}}', "no setting 'settings.lr_schedule.warmup'"),
        ('algorithm.settings={"precision": "half"}', "settings.precision is 'half', it must be"),
        ("exploration.noise_free_share=2", "noise_free_share"),
        ("rollout.bodies=0", r"bodies=0 must be a whole number in 1\.\.256"),
        ("rollout.bodies=257", "bodies=257 must be"),
    ],
)
def test_a_senseless_setting_is_refused(setting: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(None, [setting])


def test_seeds_that_are_no_whole_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"seed=1\.5 must be a whole number from 0"):
        LearnerConfig(seed=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"seeds \[1\.5\] must be whole numbers"):
        EvaluationConfig(seeds=(1.5,))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a", "first-light", "0.1_b", "x" * 64])
def test_run_names_that_may_be_keys_are_taken(name: str) -> None:
    assert check_run_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "a b", "a/b", "x" * 65, "a\n", "ä", "$(rm)"])
def test_other_run_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="the first a letter or digit"):
        check_run_name(name)


def test_data_lies_in_the_repository_wherever_a_process_was_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = Path(__file__).resolve().parents[2]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA_DIR", raising=False)
    assert data_dir() == root / ".data"
    monkeypatch.setenv("DATA_DIR", "elsewhere")
    assert data_dir() == root / "elsewhere"
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert data_dir() == tmp_path


def test_a_run_s_configuration_is_kept_as_it_was_made() -> None:
    replay = MemoryReplay()
    replay.open_run(sample_run(config=RunConfig.of(CHANGED).plain()))
    stored = replay.open_run(sample_run(config=RunConfig().plain()))
    assert RunConfig.of(stored.config) == RunConfig.of(CHANGED)


def test_only_the_native_physics_has_many_bodies_in_a_process() -> None:
    assert RunConfig().bodies == 1
    assert RunConfig.of({"rollout": {"bodies": 16}}).bodies == 16
    assert RunConfig.of({"rollout": {"bodies": 16}, "environment": {"physics": "opensim"}}).bodies == 1
