//! Finds the key in the headers of a request.

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// The longest key that is looked at, in bytes.
const MAX_KEY_BYTES: usize = 512;

/// The header of existing clients.
const KEY_HEADER: &str = "x-runtime-api-key";

/// What the headers hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credentials<'h> {
    /// One key.
    Key(&'h [u8]),
    /// Nothing that looks like a key.
    Missing,
    /// An empty, huge or non-ASCII key, or two that differ.
    Unusable,
}

/// Looks at every header that may carry a key. The same key twice is one key; two different ones
/// are refused, since proxies and servers could disagree on which counts.
pub(super) fn find(headers: &HeaderMap) -> Credentials<'_> {
    let own = headers
        .get_all(KEY_HEADER)
        .iter()
        .map(HeaderValue::as_bytes);
    let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(bearer);
    let mut found = own.chain(bearer);
    let Some(key) = found.next() else {
        return Credentials::Missing;
    };
    let is_usable = !key.is_empty()
        && key.len() <= MAX_KEY_BYTES
        && key.iter().all(u8::is_ascii_graphic)
        && found.all(|other| other == key);
    if is_usable {
        Credentials::Key(key)
    } else {
        Credentials::Unusable
    }
}

/// The token of a bearer header. Other schemes are none of ours, e.g. a proxy's own login.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = value.as_bytes().split_at_checked(SCHEME.len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(SCHEME)
        && rest
            .first()
            .is_none_or(|byte| *byte == b' ' || *byte == b'\t');
    is_bearer.then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines<'l> = &'l [(&'static str, &'l [u8])];

    fn headers(pairs: Lines<'_>) -> HeaderMap {
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
        pairs
            .iter()
            .map(|(name, bytes)| (name.parse().unwrap(), value(bytes)))
            .collect()
    }

    #[test]
    fn only_one_plain_key_counts() {
        let huge = vec![b'a'; 1 << 20];
        let cases: [(Lines<'_>, Credentials<'_>); 12] = [
            (&[], Credentials::Missing),
            (&[(KEY_HEADER, b"k")], Credentials::Key(b"k")),
            (&[("authorization", b"bEaReR  k")], Credentials::Key(b"k")),
            (&[("authorization", b"Basic k")], Credentials::Missing),
            (
                &[("authorization", b"Basic x"), (KEY_HEADER, b"k")],
                Credentials::Key(b"k"),
            ),
            (
                &[("authorization", b"Bearer k"), (KEY_HEADER, b"k")],
                Credentials::Key(b"k"),
            ),
            (
                &[("authorization", b"Bearer j"), (KEY_HEADER, b"k")],
                Credentials::Unusable,
            ),
            (&[("authorization", b"Bearer")], Credentials::Unusable),
            (&[(KEY_HEADER, b"")], Credentials::Unusable),
            (&[(KEY_HEADER, b"k\xff")], Credentials::Unusable),
            (&[(KEY_HEADER, b"a b")], Credentials::Unusable),
            (&[(KEY_HEADER, &huge)], Credentials::Unusable),
        ];
        for (pairs, expected) in cases {
            let map = headers(pairs);
            assert_eq!(find(&map), expected);
        }
    }
}
