create or replace function bloom_private.completion_try(
    p_status text, p_output text, p_options jsonb
) returns bloom_private.completion
language plpgsql volatile as $$
-- completion_read for a batch in which one bad report must not fail its neighbours: what is wrong
-- comes back in error instead of being raised.
declare
    v bloom_private.completion;
    v_detail text;
begin
    return bloom_private.completion_read(p_status, p_output, p_options);
exception
    when sqlstate 'RT400' then
        get stacked diagnostics v_detail = pg_exception_detail;
        v.error := v_detail::jsonb || '{"code": "invalid_argument", "status": 400}';
        return v;
    when data_exception then
        v.error := '{"code": "invalid_argument", "status": 400,
                     "message": "The report has an invalid value"}';
        return v;
end
$$;
comment on function bloom_private.completion_try(text, text, jsonb) is
    'Checks one report and says what is wrong instead of raising it.';
