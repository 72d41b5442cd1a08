{{ config(tags=['billing'], materialized='view') }}

-- Every row of usage under its contract on file, with its customer and PoP: what allocations share
-- by.
{{ billed_usage(ref('int_billing__traffic'), 'stands_for is null') }}
