-- Seals over the event log. A program of version 1 knows nothing of them and needs nothing: it goes
-- on writing events, which a newer one seals.

-- Seals over the event log. Each covers the events between two positions: root is the root of a
-- hash tree over leaves, the digests of those events in order, 32 bytes each. The service signs it
-- with a key that the database does not have, together with the digest of the seal before (prior).
create table bloom_private.seal (
    seal_id bigint primary key check (seal_id >= 1),
    at_ms bigint not null,
    from_xid xid8 not null,
    from_seq bigint not null,
    to_xid xid8 not null,
    to_seq bigint not null,
    leaves bytea not null check (length(leaves) > 0 and length(leaves) % 32 = 0),
    root bytea not null check (length(root) = 32),
    prior bytea not null check (length(prior) = 32),
    public_key bytea not null check (length(public_key) = 32),
    signature bytea not null check (length(signature) = 64)
);
