"""Typed access to the elements of a model file; every complaint names the file, the line and the element."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from environment.body_model import Vector3
from environment.osim_file.errors import DamagedModel, UnsupportedModel

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FORBIDDEN = frozenset(" \t\r\n/\\*+")
"""In names, by OpenSim's rule."""
_FLAGS = {"true": True, "false": False}
_OUTSIDE = ("", "OpenSimDocument")


@dataclass(slots=True)
class Source:
    """What all elements of a file share."""

    file: str
    version: int = 0
    """The document's `Version`, 30000 in files of OpenSim 3."""

    @property
    def old(self) -> bool:
        """Whether the file has OpenSim 3's form: joints are inside bodies, places are named by body."""
        return self.version < 40000


@dataclass(eq=False, slots=True)
class Element:
    """An XML element. What is read from it is checked first: see `check`."""

    source: Source
    tag: str
    line: int
    attributes: dict[str, str]
    parent: Element | None
    children: list[Element] = field(default_factory=list)
    text: str = ""

    @property
    def name(self) -> str:
        """Its `name` attribute, empty if it has none."""
        return self.attributes.get("name", "")

    @property
    def path(self) -> str:
        """Where it is in the file: `Model/BodySet/objects/Body[pelvis]/mass`."""
        steps: list[str] = []
        element: Element | None = self
        while element and element.tag not in _OUTSIDE:
            in_set = element.parent is not None and element.parent.tag in {"objects", "coordinates", "frames"}
            named = element.name and (in_set or element.tag.endswith(("Joint", "TransformAxis")))
            steps.append(f"{element.tag}[{element.name}]" if named else element.tag)
            element = element.parent
        return "/".join(reversed(steps)) or self.tag

    def damaged(self, problem: str) -> DamagedModel:
        """The error for a mistake in this element."""
        return DamagedModel(f"{self.source.file}, line {self.line}, {self.path}: {problem}")

    def unsupported(self, problem: str) -> UnsupportedModel:
        """The error for something in this element that the reader does not support."""
        return UnsupportedModel(f'{self.source.file}, line {self.line}, {self.path}: {problem}; use physics="opensim"')

    def check(self, known: Iterable[str], *, old: Iterable[str] = (), new: Iterable[str] = ()) -> None:
        """Refuses whatever is not known here, so that nothing of a model is lost in silence.

        Args:
            known: Tags that its children may have, each once.
            old: Further ones in OpenSim 3's form.
            new: Further ones in OpenSim 4's form.
        """
        allowed = frozenset(known) | frozenset(old if self.source.old else new)
        seen: set[str] = set()
        for child in self.children:
            self._check_known(child, allowed)
            if child.tag in seen:
                raise child.damaged(f"second {child.tag}, there may be one")
            seen.add(child.tag)

    def each(self, classes: Iterable[str], *, named: bool = True, repeats: bool = False) -> list[Element]:
        """Its children, objects of the classes; `named` ones need a name, and one of their own unless `repeats`."""
        allowed = frozenset(classes)
        seen: set[str] = set()
        for child in self.children:
            self._check_known(child, allowed)
            if not named:
                continue
            if not child.name or not _FORBIDDEN.isdisjoint(child.name):
                raise child.damaged(f"has the name {child.name!r}, one without space, slash, star and plus is needed")
            if child.name in seen and not repeats:
                raise child.damaged(f"second object with the name {child.name!r} in this set")
            seen.add(child.name)
        return self.children

    def _check_known(self, child: Element, allowed: frozenset[str]) -> None:
        if child.tag not in allowed:
            supported = ", ".join(sorted(allowed)) or "nothing"
            raise child.unsupported(f"{child.tag} is not supported here (supported: {supported})")
        for attribute in child.attributes:
            if attribute != "name":
                raise child.unsupported(f"the attribute {attribute!r} is not supported (supported: name)")

    def members(self, tag: str, classes: Iterable[str], *, named: bool = True, repeats: bool = False) -> list[Element]:
        """The objects of the set `tag`, in order; none if there is no such set. Groups of them are documentary."""
        group = self.child(tag)
        if group is None:
            return []
        group.check({"objects", "groups"})
        objects = group.child("objects")
        return objects.each(classes, named=named, repeats=repeats) if objects else []

    def child(self, tag: str) -> Element | None:
        return next((child for child in self.children if child.tag == tag), None)

    def require(self, tag: str) -> Element:
        found = self.child(tag)
        if found is None:
            raise self.damaged(f"has no {tag}")
        return found

    def only_child(self) -> Element:
        if len(self.children) != 1:
            raise self.damaged(f"holds {len(self.children)} elements, one is needed")
        return self.children[0]

    def value(self) -> str:
        """Its text, stripped."""
        if self.children:
            raise self.damaged(f"holds the element {self.children[0].tag}, a value is needed")
        return self.text.strip()

    def words(self, tag: str) -> list[str]:
        """The words in child `tag`; none if there is no such child."""
        found = self.child(tag)
        return found.value().split() if found else []

    def word(self, tag: str) -> str:
        """The one word in child `tag`."""
        found = self.require(tag)
        words = found.value().split()
        if len(words) != 1:
            raise found.damaged(f"holds {len(words)} words, one is needed")
        return words[0]

    def flag(self, tag: str, default: bool) -> bool:
        found = self.child(tag)
        if found is None:
            return default
        text = found.value()
        if text.lower() not in _FLAGS:
            raise found.damaged(f"holds {text!r}, true or false is needed")
        return _FLAGS[text.lower()]

    def numbers(self, tag: str, length: int | None = None) -> tuple[float, ...]:
        """The finite numbers in child `tag`, `length` of them."""
        found = self.require(tag)
        words = found.value().split()
        if length is not None and len(words) != length:
            raise found.damaged(f"holds {len(words)} numbers, {length} needed")
        numbers = tuple(float(word) if _NUMBER.fullmatch(word) else math.nan for word in words)
        for word, number in zip(words, numbers, strict=True):
            if not math.isfinite(number):
                raise found.damaged(f"holds {word!r}, a finite number is needed")
        return numbers

    def number(
        self, tag: str, default: float | None = None, *, above: float = -math.inf, least: float = -math.inf
    ) -> float:
        """The number in child `tag`, which must be greater than `above`, and `least` at least."""
        if default is not None and self.child(tag) is None:
            return default
        number = self.numbers(tag, 1)[0]
        if number <= above or number < least:
            needed = f"more than {above:g}" if number <= above else f"{least:g} at least"
            raise self.require(tag).damaged(f"is {number:g}, {needed} is needed")
        return number

    def vector(self, tag: str, default: Vector3 | None = None) -> Vector3:
        if default is not None and self.child(tag) is None:
            return default
        x, y, z = self.numbers(tag, 3)
        return x, y, z

    def ordered_pair(self, tag: str, default: tuple[float, float] | None = None) -> tuple[float, float]:
        """A lower and an upper end."""
        if default is not None and self.child(tag) is None:
            return default
        low, high = self.numbers(tag, 2)
        if high < low:
            raise self.require(tag).damaged(f"is {low:g} {high:g}, the lower end must come first")
        return low, high
