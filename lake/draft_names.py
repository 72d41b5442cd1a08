"""What fields and files of logs are mostly called, for guesses at a log that nobody knows.

Belongs here: names and patterns. Does not: what is made of them (lake/draft.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: column -> names of fields without case and punctuation, the likeliest first
NAMES: Mapping[str, Sequence[str]] = {
    "event_time": (
        "timestart", "starttime", "requesttime", "datetime", "timestamp", "time", "ts", "date",
        "eventtime", "when", "at", "start", "begin", "endtime", "timeend", "end", "done",
    ),
    "status": ("status", "statuscode", "httpstatus", "responsestatus", "code", "sc",
               "scstatus"),
    "duration_ms": (
        "durationms", "duration", "timetaken", "elapsed", "elapsedms", "timeelapsed", "took",
        "totaltime", "responsetime", "latency", "timetakenms",
        "requesttime",
    ),
    "ttfb_ms": ("ttfb", "ttfbms", "timetofirstbyte", "firstbyte", "firstbytems"),
    "bytes_out_total": (
        "bytessent", "bytesout", "responsebytes", "totalbytes", "bytes", "size", "kb", "sent",
        "kbsent", "kilobytes", "responsesize", "scbytes",
    ),
    "bytes_out_body": ("bodybytes", "bodybytessent", "bodysize", "body"),
    "bytes_in": ("bytesin", "requestbytes", "requestlength", "requestsize", "received",
                 "csbytes"),
    "url": ("url", "uri", "requesturi", "requesturl", "what"),
    "path": ("path", "requestpath", "uripath", "uristem", "csuristem"),
    "query": ("query", "querystring", "args", "csuriquery"),
    "request_line": ("request", "requestline"),
    "host": ("host", "httphost", "hostname", "domain", "vhost", "requesthost", "cshost"),
    "method": ("method", "requestmethod", "verb", "httpmethod", "csmethod"),
    "http_version": ("protocol", "httpversion", "serverprotocol", "proto"),
    "client_ip": ("clientip", "ip", "remoteaddr", "remoteip", "client", "cip", "addr"),
    "user_agent": ("useragent", "agent", "ua", "httpuseragent", "csuseragent"),
    "referer": ("referer", "referrer", "httpreferer", "csreferer"),
    "cache_status": ("cachestatus", "cache", "hitmiss", "cacheresult", "cachestate", "xcache"),
    "pop": ("pop", "edgelocation", "datacenter", "edge", "colo", "location"),
    "country": ("country", "countrycode", "clientcountry", "geo"),
    "asn": ("asn", "clientasn"),
    "content_type": ("contenttype", "mime", "mimetype"),
    "request_id": ("requestid", "reqid", "id", "rayid", "traceid"),
}  # fmt: skip
#: what stands in names of files: regular expression, format of strptime, length or a second stamp
PERIODS = (
    (r"(?P<start>\d{8}T\d{6}Z)_(?P<end>\d{8}T\d{6}Z)", "%Y%m%dT%H%M%SZ", None),
    (r"(?P<start>\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2})", "%Y-%m-%dT%H-%M-%S", "5m"),
    (r"(?P<start>\d{4}-\d{2}-\d{2}-\d{2})(?!\d)", "%Y-%m-%d-%H", "1h"),
    (r"(?P<start>\d{4}/\d{2}/\d{2}/\d{2})(?!\d)", "%Y/%m/%d/%H", "1h"),
    (r"(?<!\d)(?P<start>\d{10})(?!\d)", "%Y%m%d%H", "1h"),
    (r"(?P<start>\d{4}-\d{2}-\d{2})(?!\d)", "%Y-%m-%d", "1d"),
    (r"(?<!\d)(?P<start>\d{8})(?!\d)", "%Y%m%d", "1d"),
)
