create or replace function bloom_private.usage_read(p_usage jsonb) returns jsonb
language plpgsql immutable as $$
-- What a running task has used so far, as its worker counts it: an object of at most 30 numbers,
-- booleans and short texts. Null if it is anything else: a beat must not fail for that.
begin
    if jsonb_typeof(p_usage) <> 'object'
        or (select count(*) from jsonb_object_keys(p_usage)) > 30
        or exists (select from jsonb_each(p_usage) u
            where jsonb_typeof(u.value) in ('object', 'array') or length(u.value::text) > 300)
    then
        return null;
    end if;
    return p_usage;
end
$$;
comment on function bloom_private.usage_read(jsonb) is 'What a running task has used so far.';
