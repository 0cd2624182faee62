-- How requests for work are served and how completions are written was put together anew. Programs of
-- version 4 call the verbs, whose signatures are what they were. A call that is under way meanwhile still
-- runs the old text: completions_store, completions_put_off and completion_digest with their old
-- arguments, and lease_grants with two, stay until version 6.

alter type bloom_private.claim add attribute again integer;
