"""Out of one database and into another: nothing changes on the way, and nothing half-written is ever read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from agents.config import RunConfig
from agents.memory import build_derivation
from agents.replay.contract import RefusedTimestep
from agents.replay.data.export import EPISODES, RUNS, export
from agents.replay.data.importing import import_run
from agents.replay.data.manifest import NAME, ExportDamaged
from agents.replay.data.minari_export import export_minari
from agents.replay.data.parquet import episodes_of, episodes_table
from agents.replay.data.verify import verify
from agents.replay.documents import Document, episode_document
from agents.replay.ids import EPISODE_BITS, timestep_id
from agents.replay.log import Log
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Episode
from tests.replay_runs import all_rows, equal_columns, fill, stored_row
from tests.runs import RUN, explore, open_run, small_config

TIMESTEPS = "timesteps-00000.parquet"


@pytest.fixture
def source() -> MemoryReplay:
    replay = MemoryReplay()
    fill(replay)
    return replay


@pytest.fixture
def exported(source: MemoryReplay, tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    export(source, RUN, source.episodes_after(RUN, {}), folder)
    return folder


def documents(replay: Log, run: str) -> list[Document]:
    """Of the episodes, without what a copy has of its own."""
    own = ("_id", "run", "writer")
    found = [episode_document(episode) for episode in replay.episodes_after(run, {})]
    return [{name: value for name, value in document.items() if name not in own} for document in found]


def test_a_round_trip_changes_no_bit_of_a_timestep(source: MemoryReplay, exported: Path) -> None:
    copy = MemoryReplay()
    import_run(copy, exported)
    assert len(all_rows(copy, RUN)) == len(all_rows(source, RUN)) > 300
    assert equal_columns(all_rows(source, RUN), all_rows(copy, RUN))
    assert documents(copy, RUN) == documents(source, RUN)
    assert copy.run_document(RUN) == source.run_document(RUN)
    assert verify(copy, RUN).good


def test_what_looks_equal_but_is_not_survives_the_round_trip(source: MemoryReplay, tmp_path: Path) -> None:
    episode = source.episodes_after(RUN, {})[0]
    row = stored_row(source, episode.id, 2)
    row["state"][0, :3] = [-0.0, np.float32(1e-45), np.nextafter(np.float32(1), np.float32(2))]
    row["reward"] = -0.0
    row["time"] = -1
    export(source, RUN, [episode], tmp_path / "out")
    copy = MemoryReplay()
    import_run(copy, tmp_path / "out")
    assert equal_columns(source.rows([episode]), all_rows(copy, RUN))


def test_an_import_exports_as_what_it_was_imported_from(exported: Path, tmp_path: Path) -> None:
    copy = MemoryReplay()
    copy.claim_writer("another", "w")
    import_run(copy, exported)
    export(copy, RUN, copy.episodes_after(RUN, {}), tmp_path / "again")
    first, again = (pq.read_table(folder / TIMESTEPS) for folder in (exported, tmp_path / "again"))
    assert first.drop_columns("episode").equals(again.drop_columns("episode"))
    assert not first.equals(again), "the copy has numbers of its own"
    assert (exported / RUNS).read_bytes() == (tmp_path / "again" / RUNS).read_bytes()


def test_an_import_takes_numbers_that_no_writer_has(source: MemoryReplay, exported: Path) -> None:
    before = source.episodes_after(RUN, {})
    import_run(source, exported, "copy")
    copies = source.episodes_after("copy", {})
    assert not {episode.id for episode in before} & {episode.id for episode in copies}
    assert all(episode.id >> EPISODE_BITS == episode.writer and episode.run == "copy" for episode in copies)
    assert equal_columns(all_rows(source, RUN), all_rows(source, "copy"))
    assert source.writer("copy", "a").writer > max(episode.writer for episode in copies)


def test_the_same_export_again_adds_nothing(exported: Path) -> None:
    copy = MemoryReplay()
    first = import_run(copy, exported)
    again = import_run(copy, exported)
    assert (again.episodes, again.timesteps, again.present) == (0, 0, first.episodes)
    assert len(copy.episodes_after(RUN, {})) == first.episodes


def test_a_later_export_adds_only_what_is_new(source: MemoryReplay, exported: Path, tmp_path: Path) -> None:
    copy = MemoryReplay()
    first = import_run(copy, exported)
    added = explore(source, small_config(), source.run(RUN), 100, "c")
    export(source, RUN, source.episodes_after(RUN, {}), tmp_path / "later")
    later = import_run(copy, tmp_path / "later")
    assert (later.episodes, later.present) == (len(added), first.episodes)
    assert equal_columns(all_rows(source, RUN), all_rows(copy, RUN))


def interrupted(copy: MemoryReplay, exported: Path, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """An import that dies before it stores the document of one of its episodes."""
    store, stored = copy.insert_episode, 0

    def dies(document: Document) -> None:
        nonlocal stored
        stored += 1
        if stored > after:
            raise KeyboardInterrupt
        store(document)

    with monkeypatch.context() as patched:
        patched.setattr(copy, "insert_episode", dies)
        with pytest.raises(KeyboardInterrupt):
            import_run(copy, exported)


@pytest.mark.parametrize("recovered", [False, True])
def test_an_import_that_died_is_completed_by_the_next(
    source: MemoryReplay, exported: Path, monkeypatch: pytest.MonkeyPatch, recovered: bool
) -> None:
    copy = MemoryReplay()
    interrupted(copy, exported, monkeypatch, after=2)
    assert len(copy.episodes_after(RUN, {})) == 2
    if recovered:  # by somebody who took it for a worker's
        copy.close_abandoned(RUN)
        assert len(copy.episodes_after(RUN, {})) == 3
    import_run(copy, exported)
    assert equal_columns(all_rows(source, RUN), all_rows(copy, RUN))
    assert documents(copy, RUN) == documents(source, RUN)
    assert verify(copy, RUN).good


def test_episodes_that_were_not_chosen_are_not_exported(source: MemoryReplay, tmp_path: Path) -> None:
    chosen = source.episodes_after(RUN, {})[1::2]
    manifest = export(source, RUN, chosen, tmp_path / "out", file_timesteps=50)
    assert manifest.episodes == len(chosen)
    assert len(manifest.files) > 3, "more than one file of timesteps"
    copy = MemoryReplay()
    import_run(copy, tmp_path / "out")
    assert equal_columns(source.rows(chosen), all_rows(copy, RUN))


def test_a_run_without_episodes_can_be_moved(tmp_path: Path) -> None:
    source, copy = MemoryReplay(), MemoryReplay()
    open_run(source, small_config())
    export(source, RUN, [], tmp_path / "out")
    assert import_run(copy, tmp_path / "out").episodes == 0
    assert copy.run(RUN) == source.run(RUN)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", [RUNS, EPISODES, TIMESTEPS])
@pytest.mark.parametrize(
    ("damage", "words"), [(_cut, "cut short"), (_flip, "other content"), (Path.unlink, "found no")]
)
def test_a_damaged_export_is_refused_whole(exported: Path, name: str, damage: Any, words: str) -> None:
    damage(exported / name)
    copy = MemoryReplay()
    with pytest.raises(ExportDamaged, match=words):
        import_run(copy, exported)
    assert copy.runs() == []


def _manifest(folder: Path, **changes: Any) -> None:
    path = folder / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "prosthetics-replay/9"}, "found format 'prosthetics-replay/9'"),
        ({"layout_sha256": "0" * 64}, "needed three times the same"),
        ({"episodes": 3}, "needed 3 with"),
        ({"files": {}}, "names no episodes.parquet, runs.json"),
        ({"files": {"../runs.json": {"rows": 1, "bytes": 1, "sha256": ""}}}, "found no runs.json"),
        ({"files": None}, "is no manifest"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(exported: Path, changes: dict[str, Any], words: str) -> None:
    _manifest(exported, **changes)
    copy = MemoryReplay()
    with pytest.raises(ExportDamaged, match=words):
        import_run(copy, exported)
    assert copy.runs() == []


def test_a_folder_without_a_manifest_is_no_export(exported: Path) -> None:
    (exported / NAME).unlink()
    with pytest.raises(ExportDamaged, match=r"found no manifest\.json"):
        import_run(MemoryReplay(), exported)


def test_a_run_of_another_layout_is_left_alone(exported: Path) -> None:
    copy = MemoryReplay()
    other = open_run(copy, small_config(task="prosthetics-round2"))
    with pytest.raises(ValueError, match="exists with task"):
        import_run(copy, exported)
    assert copy.run(RUN) == other
    assert copy.episodes_after(RUN, {}) == []


def test_values_that_no_worker_could_have_written_are_refused(source: MemoryReplay, tmp_path: Path) -> None:
    first, second = source.episodes_after(RUN, {})[:2]
    stored_row(source, second.id, 3)["policy_action"] = -2.0
    export(source, RUN, [first, second], tmp_path / "out")
    copy = MemoryReplay()
    with pytest.raises(RefusedTimestep, match="policy_action"):
        import_run(copy, tmp_path / "out")
    assert len(copy.episodes_after(RUN, {})) == 1
    assert verify(copy, RUN).good


def test_an_export_that_fails_leaves_nothing(source: MemoryReplay, tmp_path: Path) -> None:
    episodes = source.episodes_after(RUN, {})
    source.delete_timesteps([timestep_id(episodes[-1].id, 2)])
    with pytest.raises(LookupError, match="missing steps 2"):
        export(source, RUN, episodes, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_appears_when_all_of_it_is_written(source: MemoryReplay, tmp_path: Path) -> None:
    folder, seen = tmp_path / "out", []
    export(source, RUN, source.episodes_after(RUN, {}), folder, progress=lambda *_: seen.append(folder.exists()))
    assert seen
    assert not any(seen)
    assert folder.exists()


def test_a_folder_with_something_in_it_is_not_written_over(source: MemoryReplay, exported: Path) -> None:
    before = (exported / NAME).read_bytes()
    with pytest.raises(ValueError, match="is no empty folder"):
        export(source, RUN, [], exported)
    assert (exported / NAME).read_bytes() == before


def test_a_field_that_the_format_does_not_know_is_not_left_out(
    source: MemoryReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def newer(episode: Episode) -> Document:
        return episode_document(episode) | {"weather": "rain"}

    monkeypatch.setattr("agents.replay.data.parquet.episode_document", newer)
    with pytest.raises(ValueError, match="weather"):
        episodes_table(source.episodes_after(RUN, {}))


def test_episodes_come_back_from_their_table_as_they_were(source: MemoryReplay) -> None:
    episodes = source.episodes_after(RUN, {})
    odd = dataclasses.replace(
        episodes[0],
        episode_return=float("nan"),
        reward_terms={"b": 0.1, "a": -0.0},
        round_returns={"round1": float("-inf"), "round2": 1e-300},
        start=dataclasses.replace(episodes[0].start, exploration={"sigma": 0.1, "of": [1, {"x": None}]}),
    )
    (back,) = episodes_of(episodes_table([odd]))
    assert str(back) == str(odd)
    assert episodes_of(episodes_table(episodes)) == episodes
    assert all(list(episode.round_returns) == ["round1", "round2"] for episode in episodes)


def test_an_export_of_before_both_rounds_were_logged_tells_none(source: MemoryReplay) -> None:
    episodes = source.episodes_after(RUN, {})
    older = episodes_of(episodes_table(episodes).drop_columns(["round_returns"]))
    assert older == [dataclasses.replace(episode, round_returns={}) for episode in episodes]


def test_minari_opens_the_decisions_with_the_runs_own_observations(source: MemoryReplay, tmp_path: Path) -> None:
    import minari

    run, episodes = source.run(RUN), source.episodes_after(RUN, {})
    derivation = build_derivation(RunConfig.of(run.config), run)
    made = export_minari(source, run, derivation, episodes, tmp_path / "minari")
    dataset = minari.MinariDataset(tmp_path / "minari")
    assert (dataset.total_episodes, dataset.total_steps) == (made.episodes, made.steps)
    assert made.episodes == len(episodes)
    told = [one["options"]["round_returns"] for one in dataset.storage.get_episode_metadata(range(len(episodes)))]
    assert told == [episode.round_returns for episode in episodes]
    for episode, found in zip(episodes, dataset.iterate_episodes(), strict=True):
        steps = source.timesteps(episode)
        decisions = np.flatnonzero(steps.decision)
        assert len(found.rewards) == len(decisions) < episode.length, "actions are held for four control steps"
        np.testing.assert_array_equal(found.actions, 2 * steps.excitation[decisions] - 1)
        assert float(found.rewards.sum()) == pytest.approx(episode.episode_return, rel=1e-5)
        assert found.terminations.tolist() == [False] * (len(decisions) - 1) + [episode.terminated]
        assert found.truncations.tolist() == [False] * (len(decisions) - 1) + [episode.truncated]
        points = derivation(source.read([episode]))
        np.testing.assert_array_equal(found.observations, points.observation)
    assert dataset.observation_space.shape == (derivation.observation_size,)


@pytest.fixture
def database(mongodb_uri: str, database_name: str) -> Iterator[MongoReplay]:
    replay = MongoReplay(mongodb_uri, database_name)
    yield replay
    replay.close()


@pytest.mark.mongo
def test_a_round_trip_through_mongodb_changes_nothing(
    source: MemoryReplay, exported: Path, database: MongoReplay
) -> None:
    import_run(database, exported, "moved")
    assert import_run(database, exported, "moved").episodes == 0
    assert equal_columns(all_rows(source, RUN), all_rows(database, "moved"), besides=("_id", "run", "episode"))
    assert documents(database, "moved") == documents(source, RUN)
    folder = exported.parent / "again"
    export(database, "moved", database.episodes_after("moved", {}), folder)
    back = MemoryReplay()
    import_run(back, folder, RUN)
    assert equal_columns(all_rows(source, RUN), all_rows(back, RUN))
