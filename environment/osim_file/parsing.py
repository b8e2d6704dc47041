"""From the bytes of a model file to its elements."""

from __future__ import annotations

import re
import xml.parsers.expat

from environment.osim_file.elements import Element, Source
from environment.osim_file.errors import DamagedModel, UnsupportedModel

_VERSIONS = ((30000, 30500), (40000, 40600))
"""Written by OpenSim 3, and by 4.0 to 4.6. The form changed in steps between the two ranges."""


def parse_model(file: str, data: bytes) -> Element:
    """The `Model` element of the file with these contents.

    Raises:
        DamagedModel: It is not well-formed XML, or no document of OpenSim's.
        UnsupportedModel: It was written by an OpenSim whose form of file is not read.
    """
    source = Source(file)
    root = _parse(source, _without_comments(data))
    if root.tag != "OpenSimDocument":
        raise root.damaged("is the outermost element; OpenSimDocument is needed")
    if set(root.attributes) != {"Version"} or not re.fullmatch(r"[0-9]{1,9}", root.attributes["Version"]):
        raise root.damaged(f"has the attributes {root.attributes}; a whole number as Version is needed")
    source.version = int(root.attributes["Version"])
    if not any(low <= source.version <= high for low, high in _VERSIONS):
        ranges = " and ".join(f"{low} to {high}" for low, high in _VERSIONS)
        raise UnsupportedModel(
            f"{file}: a file of version {source.version}, {ranges} are supported; load it in OpenSim 4.6 and print it "
            'to a new file, or use physics="opensim"'
        )
    root.check({"Model"})
    return root.require("Model")


def _without_comments(data: bytes) -> bytes:
    """The same lines. OpenSim tolerates comments that are not well-formed XML ("--" inside), and so must we."""
    kept: list[bytes] = []
    position = 0
    while (start := data.find(b"<!--", position)) >= 0 and (end := data.find(b"-->", start)) >= 0:
        kept += [data[position:start], b"\n" * data.count(b"\n", start, end)]
        position = end + len(b"-->")
    return b"".join([*kept, data[position:]])


def _parse(source: Source, data: bytes) -> Element:
    """The outermost element.

    Not by the standard library's element tree: its parser takes `HuntCrossleyForce::ContactParameters`, a tag of
    OpenSim's, for a faulty namespace.
    """
    parser = xml.parsers.expat.ParserCreate()
    parser.buffer_text = True
    document = Element(source, "", 0, {}, None)
    stack = [document]

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = Element(source, tag, parser.CurrentLineNumber, attributes, stack[-1])
        stack[-1].children.append(element)
        stack.append(element)

    def end(_: str) -> None:
        element = stack.pop()
        if element.children and element.text.strip():
            raise element.damaged(f"holds the stray text {element.text.strip()[:40]!r} beside its elements")

    def characters(text: str) -> None:
        stack[-1].text += text

    def document_type(*_: object) -> None:
        # Its entities could grow without bound; OpenSim reads none either.
        raise DamagedModel(f"{source.file}, line {parser.CurrentLineNumber}: a document type, model files have none")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = document_type
    try:
        parser.Parse(data, True)
    except (xml.parsers.expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, DamagedModel):
            raise
        raise DamagedModel(f"{source.file} is not well-formed XML, it may be cut short: {error}") from error
    return document.children[0]
