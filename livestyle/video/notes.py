"""Notes in a clip's file: title, time, languages, chapters, and the place, which is kept apart."""

from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import OutputContainer

TRACK_NOTES = ("language", "title", "comment", "creation_time", "handler_name")  # the rest is about the encoding
FILE_FACTS = {  # about the old file, which the new one has of its own
    "major_brand", "minor_version", "compatible_brands", "encoder", "software", "duration", "timecode",
}  # fmt: skip
PLACE_WORDS = ("location", "gps", "xyz", "latitude", "longitude", "geo")  # in the names of notes about the place
APPLE_PLACE = "com.apple.quicktime.location.iso6709"
MOV_LANGUAGES = {  # which MOV calls otherwise
    "deu": "ger", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice", "zho": "chi", "sqi": "alb", "rum": "ron",
    "cze": "ces", "slo": "slk",
}  # fmt: skip


def file_notes(found: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the notes of a file that another can take over, and apart from them those about the place."""
    notes, place = dict[str, str](), dict[str, str]()
    for name, text in found.items():
        if any(word in name.lower() for word in PLACE_WORDS):
            place[name] = text
            if name.lower() == APPLE_PLACE:
                place["location"] = text  # the name that other kinds of files know
        elif name.lower() not in FILE_FACTS and is_right(name, text):
            notes[name] = text
    return notes, place


def track_notes(source: Any, output: "OutputContainer") -> dict[str, str]:
    """Return the notes of a track as another kind of file knows them."""
    found = {name.lower(): text for name, text in source.metadata.items()}
    found["title"] = found.get("title") or found.get("name") or ""
    is_mov = "matroska" not in output.format.name
    if is_mov:
        found["handler_name"] = found["title"] or found.get("handler_name", "")
    if output.format.name == "mov":
        found["language"] = MOV_LANGUAGES.get(found.get("language", ""), found.get("language", ""))
    return {name: found[name] for name in TRACK_NOTES if found.get(name) and is_right(name, found[name])}


def is_right(name: str, text: str) -> bool:
    """Return whether a note can be written. Of a time that is none FFmpeg would write no file."""
    if name.lower() != "creation_time":
        return True
    try:
        return bool(datetime.fromisoformat(text.replace("Z", "+00:00")))
    except ValueError:
        return False


def later(chapter: Any, seconds: Fraction) -> Any:
    """Return a chapter that begins and ends later."""
    ticks = round(seconds / chapter["time_base"])
    return chapter | {"start": max(0, chapter["start"] + ticks), "end": chapter["end"] + ticks}
