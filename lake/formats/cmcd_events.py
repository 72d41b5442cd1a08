"""CMCD version 2 in event mode (CTA-5004-B): one dictionary a line, or one JSON object a line.

Traps: a player state is an event of CTA-2066 by another name (`sta=r` is a stall), and a report
repeats the state without a change (`e=t`, a heartbeat); a list has a value per object type, in any
order; of equal keys the last counts; `bsd` gives each starvation once; what a
report strays from the specification in is kept in cmcd_deviations; `url`, `h` and `nor` carry
tokens and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lake import canonical as sql
from lake.cmcd_keys import item_of, texts_of
from lake.feeds import PLAYER_EVENTS
from lake.formats import tsv
from lake.formats.base import Family, Judgement, Layout, Reject, Row, Skip
from lake.formats.events import SESSION, instant
from lake.lines import Lines
from lake.source import Source

#: a dictionary's or an object's session, as an identifier: what looks otherwise is none
_SESSION = re.compile(rf'''(?:sid=|"sid"\s*:\s*)"{SESSION}"|sid={SESSION}\s*(?:[,;]|$)''')
_PLAIN = rf"({SESSION})\s*(?:[,;]|$)"
_MARK = "\ufeff"
_LAYOUT = Layout({"line": "VARCHAR"}, ("line",))
#: the dictionary without what stands in quotes, but for single words, as players quote tokens and
#: numbers: there a comma separates and `=` assigns
_BARE = r"""regexp_replace(regexp_replace(dictionary, '="([A-Za-z0-9_.:-]+)"', '=\1', 'g'),
    '"(?:[^"\\]|\\.)*"', '""', 'g')"""


def _member(text: str, key: str, value: str) -> str:
    """Return the SQL of what a pattern finds behind a key: of the last one, as RFC 8941 has it."""
    return f"nullif(regexp_extract({text}, '^(?:.*,)?\\s*{key}={value}', 1), '')"


def _token(key: str) -> str:
    return _member("bare", key, "([A-Za-z0-9.-]+)")


def _string(key: str) -> str:
    found = _member("dictionary", key, r'"((?:[^"\\]|\\.)*)"')
    return (
        f"case when contains(dictionary, '\\') then regexp_replace({found}, '\\\\(.)', '\\1', 'g') "
        f"else {found} end"
    )


def _list(key: str, text: str = "bare") -> str:
    return _member(text, key, r"(\([^)]*\)|[^,;]+)")


def _of_video(found: str) -> str:
    """Return the SQL of the video's value, else the first, of a list or of a number alone."""
    first = rf"regexp_extract({found}, '^\(? *(-?[0-9.]+)', 1)"
    return f"try_cast(coalesce({item_of(found, 'v', 'av')}, {first}) as double)"


#: a list of strings, or one
_TEXTS = r'(\((?:"(?:[^"\\]|\\.)*"|[^")])*\)|"(?:[^"\\]|\\.)*")'


_STATE = """case sta_d when 's' then 'playbackRequest' when 'p' then 'playbackStart'
  when 'k' then 'playbackSeek' when 'r' then 'playbackStall' when 'w' then 'playbackStall'
  when 'a' then 'playbackPause' when 'e' then 'playbackFinish' when 'q' then 'playbackFinish'
  when 'f' then 'playbackFail' when 'd' then 'other' end"""
_TYPE = f"""case e_d when 'ps' then coalesce({_STATE}, 'other')
  when 't' then 'heartbeat' when 'bc' then 'renditionChange' when 'rr' then 'response'
  when 'e' then case when sta_d = 'f' then 'playbackFail' else 'error' end
  else 'other' end"""


#: durations of all starvations that a report gives
_STALLS = r"""cast(list_sum(list_transform(
    regexp_extract_all(bsd_d, '(?:^|[( ])([0-9.]+)', 1), lambda x: try_cast(x as double)))
  as bigint)"""


class CmcdEvents(Family):
    """CMCD reports that players post by themselves."""

    name = "cmcd_events"
    version = 2
    record = PLAYER_EVENTS

    def layout(self, head: bytes, source: Source, previous: Layout | None) -> Layout:  # noqa: ARG002
        """Return the layout: a line is one text."""
        return _LAYOUT

    def read_sql(self, path: str, layout: Layout, longest_line: int) -> str:
        """Return the read of lines as they are."""
        return tsv.read_sql(path, layout, longest_line)

    def line_numbers_sql(self) -> str | None:
        """Return the query of lines that the reader rejected: those with a tab in them."""
        return tsv.REJECTED_LINES

    def overruled(
        self, lines: Lines, layout: Layout, numbers: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return accepted lines that the reader cut at a tab."""
        return tsv.overflowing(lines, layout, numbers)

    def judge(self, line: bytes, layout: Layout) -> Judgement:  # noqa: ARG002
        """Judge one line: text that a dictionary or an object could be."""
        stripped = line.rstrip(b"\r\n")
        if not stripped.strip():
            return Skip.BLANK
        if b"\0" in stripped:
            return Reject("nul_byte")
        if b"\r" in stripped:
            return Reject("stray_cr")
        try:
            text = stripped.decode("utf-8")
        except UnicodeDecodeError:
            return Reject("bad_utf8")
        if text.startswith(_MARK):
            return Reject("stray_bom")  # two files that were glued together
        if text in tsv.NULLS or not _SESSION.search(text):
            return Reject("missing_session")
        return Row({"line": text})

    def derived_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the dictionary, and of it what a row needs; no instant without a session."""
        return {
            "dictionary": "case when starts_with(ltrim(line), '{') then cmcd_of_json(line) "
            "else line end",
            "bare": _BARE,
            "bl_d": _list("bl"),
            "pb_d": _list("pb"),
            "bsd_d": _list("bsd"),
            "ec_d": _member("dictionary", "ec", _TEXTS),
            "sid_d": f"coalesce({_string('sid')}, {_member('bare', 'sid', _PLAIN)})",
            "e_d": _token("e"),
            "sta_d": _token("sta"),
            "ts_d": f"try_cast({_token('ts')} as bigint)",
            "event_time": f"case when regexp_full_match(sid_d, '{SESSION}') "
            "and not starts_with(line, chr(65279)) "
            f"then {instant('ts_d')} end",
        }

    def canonical_sql(self, layout: Layout, source: Source) -> Mapping[str, str]:  # noqa: ARG002
        """Return the canonical columns; the text is cmcd, as a query would hold it."""
        whole = {
            "position_ms": _list("pt"), "buffer_ms": "bl_d", "startup_ms": _list("msd"),
            "dropped_frames": _list("dfa"), "throughput_kbps": _list("mtp"),
        }  # fmt: skip
        return {
            "row_key": sql.row_key(["dictionary", "epoch_us(event_time)"]),
            "producer_seq": f"try_cast({_token('sn')} as bigint)",
            "event_type": _TYPE,
            "event_type_raw": "e_d",
            "session_id": "sid_d",
            "content_id": _string("cid"),
            "cdn": _string("cdn"),
            "video_kbps": _of_video("pb_d"),
            "audio_kbps": f"try_cast({item_of('pb_d', 'a')} as double)",
            "stall_ms": _STALLS,
            "error_code": texts_of("ec_d"),
            "playback_rate": f"try_cast({_token('pr')} as double)",
            **{column: f"cast({_of_video(found)} as bigint)" for column, found in whole.items()},
            "is_live": f"case {_token('st')} when 'v' then false when 'l' then true "
            "when 'll' then true end",
            "is_background": r"regexp_matches(bare, '(?:^|,)\s*bg(?:=\?1)?\s*(?:[,;]|$)')",
            "stream_kind": f"case {_token('sf')} when 'h' then 'hls' when 'd' then 'dash' "
            "when 's' then 'other' when 'o' then 'other' when 'e' then 'other' end",
            "cmcd": "cmcd_text(dictionary)",
        }
