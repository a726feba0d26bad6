"""Untrusted text made safe to print: escape sequences (C0, DEL, C1), bidi controls and line separators are escaped."""

import re

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def plain(text: str) -> str:
    """Replace unprintable characters, including line breaks, by backslash escapes."""
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else char.encode("unicode_escape").decode() for char in text])


def plain_lines(text: str) -> str:
    """Do so in each line of a text whose line breaks are trusted, such as a traceback."""
    return "\n".join([plain(line.replace("\t", "    ")) for line in text.split("\n")])


def plain_json(data: bytes) -> str:
    """Escape such characters in a JSON text, where they occur only in strings; its meaning stays the same."""
    return _UNSEEN.sub(_json_escape, data.decode())


def _json_escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join([f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)])
