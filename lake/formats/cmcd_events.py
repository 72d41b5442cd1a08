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
_PLAIN = rf"({SESSION})\s*(?:;.*)?"
_MARK = "\ufeff"
_LAYOUT = Layout({"line": "VARCHAR"}, ("line",))
#: the dictionary without what stands in quotes: there a comma separates and `=` assigns
_WITHOUT_TEXTS = r"""regexp_replace(dictionary, '"(?:[^"\\]|\\.)*"', '""', 'g')"""
#: the same with a comma in front of each member and no space behind one
_BARE = r"""',' || trim(case when contains(plain_d, ', ') or contains(plain_d, chr(9))
  then regexp_replace(plain_d, ',\s+', ',', 'g') else plain_d end)"""
_QUOTED = r'((?:[^"\\]|\\.)*)"'


def _quoted(key: str) -> str:
    """Return the SQL of what stands in quotes behind a key, its escapes still in it."""
    near = f"regexp_extract(split_part(dictionary_d, ',{key}=\"', -1), '^{_QUOTED}', 1)"
    far = f"""regexp_extract(dictionary_d, ',\\s*{key}="{_QUOTED}', 1)"""
    return (
        f"case when contains(dictionary_d, ',{key}=\"') then {near} "
        f"when contains(dictionary_d, '{key}=\"') then nullif({far}, '') end"
    )


def _string(key: str) -> str:
    found = f"nullif({_quoted(key)}, '')"
    return (
        f"case when contains(dictionary, '\\') then regexp_replace({found}, '\\\\(.)', '\\1', 'g') "
        f"else {found} end"
    )


def _value(key: str) -> str:
    """Return the SQL of what stands behind a key, the last of equal ones (RFC 8941, 3.2)."""
    return (
        f"case when contains(bare, ',{key}=\"') then {_quoted(key)} when contains(bare, ',{key}=') "
        f"then split_part(split_part(bare, ',{key}=', -1), ',', 1) end"
    )


def _token(key: str) -> str:
    return f"nullif(regexp_extract({_value(key)}, '^ *([A-Za-z0-9.-]+)', 1), '')"


def _of_video(found: str) -> str:
    """Return the SQL of the video's value, else the first, of a list or of a number alone."""
    first = rf"regexp_extract({found}, '^\(? *(-?[0-9.]+)', 1)"
    return f"try_cast(coalesce({item_of(found, 'v', 'av')}, {first}) as double)"


#: a list of strings, or one
_TEXTS = r'(\((?:"(?:[^"\\]|\\.)*"|[^")])*\)|"(?:[^"\\]|\\.)*")'
_ERRORS = f"""case when contains(dictionary_d, 'ec=')
  then nullif(regexp_extract(dictionary_d, ',\\s*ec={_TEXTS}', 1), '') end"""


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
            "dictionary_d": "',' || dictionary",
            "plain_d": _WITHOUT_TEXTS,
            "bare": _BARE,
            "bl_d": _value("bl"),
            "pb_d": _value("pb"),
            "bsd_d": _value("bsd"),
            "ec_d": _ERRORS,
            "sid_d": f"coalesce({_string('sid')}, "
            f"nullif(regexp_extract({_value('sid')}, '^{_PLAIN}$', 1), ''))",
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
            "position_ms": _value("pt"), "buffer_ms": "bl_d", "startup_ms": _value("msd"),
            "dropped_frames": _value("dfa"), "throughput_kbps": _value("mtp"),
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
