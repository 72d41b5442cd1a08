{#
    What the words of the marts mean, once each. A change here changes published numbers: raise the
    `definition_version` of the metrics that use it (models/marts/**/_*.yml) and log it.
#}

{# 499 is nginx' and its heirs' code for "the viewer went away": an abort, not a client error. #}
{% macro is_aborted() -%}(client_aborted or status = 499){%- endmacro %}

{# Requests a cache could have answered. SYNTH answers (redirects, blocks) never reach the cache. #}
{% macro is_eligible() -%}
    (coalesce(method, '') in ('GET', 'HEAD') and cache_status not in ('SYNTH', 'ERROR'))
{%- endmacro %}

{% macro is_hit() -%}(is_edge_hit and {{ is_eligible() }}){%- endmacro %}

{# Fresh in the edge cache, not revalidated and not stale: `Hit` as CloudFront writes it. #}
{% macro is_plain_hit() -%}cache_status = 'HIT'{%- endmacro %}

{# Eligible, and the configuration let it be cached: BYPASS is a decision, not a failure. #}
{% macro is_cacheable() -%}({{ is_eligible() }} and cache_status <> 'BYPASS'){%- endmacro %}

{# Requests whose time to first byte says something of delivery: answered, and waited for. #}
{% macro has_ttfb() -%}
    (ttfb_ms is not null and not {{ is_aborted() }} and status >= 200 and status < 300)
{%- endmacro %}

{# Bytes that a throughput is of: the body, or all bytes where the log does not tell them apart. #}
{% macro payload() -%}coalesce(bytes_out_body, bytes_out_total){%- endmacro %}

{# Long enough to measure: below 64 KB a transfer ends in the first round trips. #}
{% macro has_throughput() -%}
    ({{ has_ttfb() }} and {{ payload() }} >= 65536 and ttfb_ms >= 0
    and duration_ms > ttfb_ms and duration_ms <= 31536000000.0)
{%- endmacro %}

{# First to last byte, whole microseconds, so that sums are exact in any order. #}
{% macro transfer_us() -%}cast(round((duration_ms - ttfb_ms) * 1000, 0) as bigint){%- endmacro %}

{% macro throughput_kbps() -%}({{ payload() }} * 8 / (duration_ms - ttfb_ms)){%- endmacro %}

{# Kinds of 4xx. At the live edge a player asks for segments that are not there yet (404) or not
   whole yet (416): the world, not a fault of delivery. Known where the player says so by CMCD. #}
{% macro is_4xx() -%}(status >= 400 and status < 500 and status <> 499){%- endmacro %}
{% macro is_live_edge_error() -%}
    (status in (404, 416) and coalesce(stream_type, '') = 'l'
    and object_type in ('segment', 'init', 'manifest'))
{%- endmacro %}

{# Requests that availability is of: all but those that the viewer ended. Status 0 is the client's
   side, unless the CDN was waiting for the origin. #}
{% macro is_answerable() -%}
    (not {{ is_aborted() }} and (status <> 0 or is_origin_fetch))
{%- endmacro %}
{% macro is_failed() -%}({{ is_answerable() }} and (status = 0 or status >= 500)){%- endmacro %}

{# The HTTP version in one spelling: vendors write HTTP/2.0, HTTP/2 and h2. #}
{% macro http_protocol() -%}
    case
        when http_version is null then 'unknown'
        when upper(http_version) in ('HTTP/3', 'HTTP/3.0', 'H3', 'QUIC') then 'HTTP/3'
        when upper(http_version) in ('HTTP/2', 'HTTP/2.0', 'H2') then 'HTTP/2'
        when upper(http_version) in ('HTTP/1.1', 'HTTP/1.0') then upper(http_version)
        else 'other'
    end
{%- endmacro %}

{# Every additive count of viewer requests, by name: what a roll-up of staging selects, and a
   roll-up of a roll-up adds. definitions/qos.yaml says what each means. #}
{% macro qos_counts() -%}
    {{ return({
        'requests': count_requests(),
        'bytes': whole_sum('bytes'),
        'bytes_in': whole_sum('bytes_received'),
        'eligible_requests': count_requests(is_eligible()),
        'hit_requests': count_requests(is_hit()),
        'miss_requests': count_requests(is_eligible() ~ ' and not is_edge_hit'),
        'other_requests': count_requests('not ' ~ is_eligible()),
        'eligible_bytes': sum_where('bytes', is_eligible()),
        'hit_bytes': sum_where('bytes', is_hit()),
        'cacheable_requests': count_requests(is_cacheable()),
        'edge_hit_requests': count_requests('is_edge_hit'),
        'plain_hit_requests': count_requests(is_plain_hit()),
        'origin_requests': count_requests('is_origin_fetch'),
        'origin_bytes': sum_where('bytes', 'is_origin_fetch'),
        'errors_4xx': count_requests(is_4xx()),
        'client_errors': count_requests(is_4xx() ~ ' and not ' ~ is_live_edge_error()),
        'live_edge_errors': count_requests(is_live_edge_error()),
        'errors_5xx': count_requests('status >= 500'),
        'no_response': count_requests('status = 0'),
        'aborted': count_requests(is_aborted()),
        'aborted_bytes': sum_where('bytes', is_aborted()),
        'answerable_requests': count_requests(is_answerable()),
        'failed_requests': count_requests(is_failed()),
        'ttfb_count': count_requests(has_ttfb()),
        'throughput_count': count_requests(has_throughput()),
        'throughput_bytes': sum_where('requests * ' ~ payload(), has_throughput()),
        'throughput_us': sum_where('requests * ' ~ transfer_us(), has_throughput()),
        'duplicates_removed': whole_sum('duplicates_removed'),
    }) }}
{%- endmacro %}

{# The names of these counts, each summed: for a roll-up of a roll-up. #}
{% macro qos_sums(relation) -%}
    {%- for name in qos_counts() %}
    cast(sum({{ relation }}.{{ name }}) as bigint) as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#
    The stream, a channel or title: the content id that the player sends (CMCD cid), else what the
    variable `stream_path` cuts out of the decoded path. A longer name is cut: paths are anyone's.
#}
{% macro stream_of() -%}
    {%- set pattern = var('stream_path') | string -%}
    {%- if "'" in pattern or '\\' in pattern or modules.re.compile(pattern).groups != 1 -%}
        {%- do exceptions.raise_compiler_error(
            "var 'stream_path' is " ~ (pattern | tojson) ~ "; expected a regular expression with one "
            ~ "group, the stream, and without quotes and backslashes, which engines read "
            ~ "differently, as '^/[^/]+/([^/]+)/'. Write [0-9] for a digit, [.] for a point.") -%}
    {%- endif -%}
    left(coalesce(
        nullif(cmcd.cid, ''), nullif(regexp_extract(path, '{{ pattern }}', 1), '')
    ), 128)
{%- endmacro %}

{# How many streams an hour of a CDN names; the rest are one. #}
{% macro streams_named() -%}
    {%- set most = var('streams_named') | string -%}
    {%- if not modules.re.fullmatch('[1-9][0-9]{0,5}', most) -%}
        {%- do exceptions.raise_compiler_error(
            "var 'streams_named' is " ~ (most | tojson)
            ~ "; expected a whole number from 1 to 999999. Correct it.") -%}
    {%- endif -%}
    {{ return(most) }}
{%- endmacro %}

{# What stands for the streams that an hour does not name. #}
{% macro other_streams() -%}'(other)'{%- endmacro %}

{# KuaiRec's rule, its two branches as published: short items (up to 7 s) to the end, else over 7 s.
   An item of unknown length is judged as a long one. #}
{% macro is_valid_play() -%}
    (event_type = 'play' and coalesce(watch_ms, 0) {# -#}
    >= case when item_duration_ms <= 7000 then item_duration_ms else 7001 end)
{%- endmacro %}
