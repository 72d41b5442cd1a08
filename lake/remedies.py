"""What to do about a rejected line, by the reason it was rejected for.

Belongs here: a sentence a reason, for people. Does not: why a whole object is refused
(lake.refused), what is judged (the families).
"""

from __future__ import annotations

from collections.abc import Mapping

_UTF8 = "Have the file written as UTF-8; of another encoding, convert it before it lands."
_CUT = "The line was cut or put together: have the file delivered again."
_MARK = "Two files were put together: deliver them apart, or without the byte order mark between."

#: reason -> what the user does
REMEDIES: Mapping[str, str] = {
    "ambiguous_time": "The clock went back or forth then: have times delivered with their offset, "
    "or correct published.time_zone.",
    "bad_quotes": "A quote does not end on its line: quote by RFC 4180 and leave line ends out of "
    "fields, or deliver JSON lines or Parquet.",
    "bad_time": "Write instants as the family's page says (ISO 8601, unix seconds or ms), or "
    "correct the unit or form in the source file.",
    "bad_utf8": _UTF8,
    "byte_order_mark": _MARK,
    "empty_period": "The end is not after the start; ends are exclusive.",
    "inexact_number": "A computed floating point number is no amount: deliver decimals, or set "
    "published.round_decimals.",
    "invalid_json": "Write one whole JSON object a line; an array or one document is read with "
    "`document` in the source file, where the format takes it.",
    "key_destroyed": "The key of that time was destroyed; what it protected is gone by design.",
    "line_too_long": "Raise limits.max_line_bytes in the source file if such lines are real.",
    "missing_field": "A field that every row must have is missing or empty: correct the producer, "
    "or map its new name (published.columns, fields or map of the source file).",
    "missing_session": "Give each playback an id of up to 64 letters, digits, `_ . : -`.",
    "not_an_object": "Write one JSON object a line, no array and no bare value.",
    "nul_byte": _CUT,
    "other_service": "Ask for the report of Amazon CloudFront alone.",
    "ragged": "The line has more or fewer fields than its header: deliver a file a header, and "
    "quote separators inside fields.",
    "stray_bom": _MARK,
    "stray_cr": "Have lines end in LF or CRLF, and no CR inside.",
    "time_out_of_range": "The event lies outside of the period of the object's name: check unit "
    "and zone of its clock, or widen period.early or period.late.",
    "unknown_category": "Map the vendor's word to Usage, Purchase, Tax, Credit or Adjustment.",
    "unknown_change": "Write snapshot, upsert or delete.",
    "unknown_currency": "Write the currency as three capitals of ISO 4217.",
    "unknown_event_type": "Write one of the types that the family's page lists; a new one needs "
    "the family extended.",
    "unknown_kind": "Write pop or link.",
    "unknown_slot": "Ask for buckets by minute, hour or day.",
    "unknown_unit_kind": "Write user, device, session or creator.",
    "value_out_of_range": "A number is too large to be computed with: check its unit.",
    "wrong_category": "Route the other categories of the diagnostic setting elsewhere.",
    "wrong_type": "A number or flag is written as something else, or has digits that would be "
    "lost: no thousands separators, signs of money, decimal commas or spreadsheets' exponents.",
}
