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

{# Requests whose time to first byte says something of delivery: answered, and waited for. #}
{% macro has_ttfb() -%}
    (ttfb_ms is not null and not {{ is_aborted() }} and status >= 200 and status < 300)
{%- endmacro %}

{# KuaiRec's rule, its two branches as published: short items (up to 7 s) to the end, else over 7 s.
   An item of unknown length is judged as a long one. #}
{% macro is_valid_play() -%}
    (event_type = 'play' and coalesce(watch_ms, 0) {# -#}
    >= case when item_duration_ms <= 7000 then item_duration_ms else 7001 end)
{%- endmacro %}
