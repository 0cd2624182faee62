-- When a key was last used. A program of version 2 notes no uses, and reads the list of keys by the
-- names of its columns, so that one more does not matter.

alter table bloom_private.api_key add column last_used_at timestamptz;

-- Its result has a column more, which cannot be changed in place. Functions are made right after.
drop function bloom.key_list();
