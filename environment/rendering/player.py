"""A player of one motion in the browser: 3D, time slider, speed, plots."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import viser
from viser import uplot

from environment.rendering.figure import Figure
from environment.rendering.plots import MuscleRows, RewardCurves
from environment.rendering.scene import Scene
from environment.timestep import CONTROL_STEP_S

LOCAL = "127.0.0.1"
PORT = 8080
_FRAME_S = 1 / 30
_PLOTS_EVERY_S = 0.25
"""Plots weigh more than poses."""
_SPEEDS = ("0.1", "0.25", "0.5", "1", "2")
_PAUSE_AT_END_S = 1.0


class Player:
    """Serves one page, where all viewers see the same moment. Plays while somebody looks, again and again."""

    def __init__(self, figure: Figure, *, host: str = LOCAL, port: int = PORT) -> None:
        """Starts to serve.

        Args:
            host: Address to listen on. Whoever reaches it can look, and move the slider.
            port: The first to try; the next free one is taken.
        """
        self._figure = figure
        # A browser opens connections that it does not use; each would be told of with a traceback.
        logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
        with redirect_stdout(None):
            self._server = viser.ViserServer(host=host, port=port, label=figure.motion.title, verbose=False)
        self.step = 0
        """Control step that is shown."""
        self._place_s = 0.0
        self._plotted_s = -1.0
        self.scene = Scene(self._server, figure)
        self._curves, self._rows = RewardCurves(figure.motion), MuscleRows(figure)
        self._build_panel()
        self.show(0)

    @property
    def url(self) -> str:
        """Of the page."""
        return f"http://{self._server.get_host()}:{self._server.get_port()}"

    def show(self, step: int) -> None:
        """Shows the moment after so many control steps, plots as well."""
        self._show(step)
        self._plot()

    def play(self, wait: Callable[[float], bool]) -> None:
        """Plays until `wait`, which sleeps so many seconds, says that it is over."""
        before_s = time.monotonic()
        while not wait(_FRAME_S):
            now_s = time.monotonic()
            elapsed_s, before_s = now_s - before_s, now_s
            if not self._playing.value or not self._server.get_clients():
                continue
            self._place_s += elapsed_s * float(self._speed.value)
            if self._place_s > self._figure.motion.duration_s + _PAUSE_AT_END_S * float(self._speed.value):
                self._place_s = 0.0
            self._show(min(round(self._place_s / CONTROL_STEP_S), self._figure.motion.steps))
            if now_s - self._plotted_s > _PLOTS_EVERY_S:
                self._plot()
                self._plotted_s = now_s

    def close(self) -> None:
        """Ends the service."""
        with redirect_stdout(None):
            self._server.stop()

    def _show(self, step: int) -> None:
        self.step = step
        with self._server.atomic():
            self.scene.move_to(step, follow=self._follow.value)
            self._slider.value = step * CONTROL_STEP_S
            self._facts.content = _table(self._figure.motion.facts(step))

    def _plot(self) -> None:
        self._chart.data = self._curves.at(self.step)
        self._muscles.image = self._rows.at(self.step)

    def _build_panel(self) -> None:
        gui, motion = self._server.gui, self._figure.motion
        gui.configure_theme(control_width="large", show_logo=False, show_share_button=False)
        gui.add_markdown(f"**{motion.title}**, ended: {motion.ended}")
        self._playing: Any = gui.add_checkbox("play", initial_value=True)
        self._slider: Any = gui.add_slider("time, s", 0.0, max(motion.duration_s, CONTROL_STEP_S), CONTROL_STEP_S, 0.0)
        self._speed = gui.add_dropdown("speed", _SPEEDS, initial_value="1")
        self._facts = gui.add_markdown("")
        self._chart = gui.add_uplot(
            self._curves.at(0),
            (
                uplot.Series(label="s"),
                *(
                    uplot.Series(label=name, stroke=self._curves.colour(number), width=2)
                    for number, name in enumerate(self._curves.names)
                ),
                uplot.Series(label="now", stroke="#888", width=1, scale="now"),
            ),
            title="rewards",
            scales={"x": {"time": False}, "now": {"auto": False, "range": (0.0, 1.0)}},
            aspect=1.9,
        )
        gui.add_markdown("**muscle activations**, from blue at rest to red in full action")
        self._muscles = gui.add_image(self._rows.at(0), format="jpeg", jpeg_quality=92)
        with gui.add_folder("view"):
            self._follow = gui.add_checkbox("follow", initial_value=True)
            shown = gui.add_checkbox("muscles", initial_value=True)

        @self._slider.on_update
        def _(event: viser.GuiEvent[viser.GuiSliderHandle[float]]) -> None:
            # Only what a viewer moved: this player moves it too.
            if event.client_id is not None:
                self._playing.value = False
                self._place_s = event.target.value
                self.show(round(event.target.value / CONTROL_STEP_S))

        @shown.on_update
        def _(event: viser.GuiEvent[viser.GuiCheckboxHandle]) -> None:
            self.scene.muscles.show(event.target.value)

        @self._follow.on_update
        def _(_: viser.GuiEvent[viser.GuiCheckboxHandle]) -> None:
            self._show(self.step)


def _table(facts: dict[str, str]) -> str:
    """As Markdown."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())])
