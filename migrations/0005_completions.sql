-- How requests for work are served and how completions are written was put together anew. These are
-- internal functions that nobody calls any more; programs of version 4 call the verbs, whose signatures
-- are what they were.

drop function if exists bloom_private.completions_store(
    bloom_private.lease[], bloom_private.completion[], text[]);
drop function if exists bloom_private.completions_put_off(
    bloom_private.lease[], bloom_private.completion[], text[]);
drop function if exists bloom_private.completion_digest(bloom_private.completion, text);
drop function if exists bloom_private.lease_grants(uuid[], boolean);

alter type bloom_private.claim add attribute again integer;
