//! What a request path may look like, and its decoding, exactly once.
//!
//! Routes are matched on the raw segments; only then are parameters decoded. So no spelling of a
//! path reaches a route other than the plain one, and what a proxy in front may have normalised
//! differently is refused instead of interpreted.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The longest path that is looked at, in bytes.
pub const MAX_PATH_BYTES: usize = 8 * 1024;

/// Whether `path` is one that may be routed at all.
///
/// Refused: empty segments, dot segments however they are written, backslashes, malformed or
/// non-UTF-8 percent-encoding, NUL, and bytes that are not visible ASCII.
#[must_use]
pub fn is_sound(path: &str) -> bool {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    if path.len() > MAX_PATH_BYTES || !is_plain || path.contains('\\') {
        return false;
    }
    let Some(segments) = path.strip_prefix('/') else {
        return false;
    };
    let last = segments.split('/').count() - 1;
    segments.split('/').enumerate().all(|(index, segment)| {
        // Only the very end may be empty: a trailing slash, which then matches no route.
        if segment.is_empty() {
            index == last
        } else {
            decode(segment).is_some()
        }
    })
}

/// Decodes one segment once; `None` when it is not sound.
#[must_use]
pub fn decode(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return (!is_dots(segment)).then_some(Cow::Borrowed(segment));
    }
    let well_formed = segment
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
    if !well_formed {
        return None;
    }
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    let sound = !decoded.contains('\0') && !decoded.split(['/', '\\']).any(is_dots);
    sound.then_some(decoded)
}

/// Decodes what a `{*rest}` parameter matched. Encoded slashes would change its shape.
#[must_use]
pub fn decode_rest(rest: &str) -> Option<String> {
    let segments: Option<Vec<_>> = rest
        .split('/')
        .map(|segment| decode(segment).filter(|text| !text.contains(['/', '\\'])))
        .collect();
    segments.map(|segments| segments.join("/"))
}

fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tricks_are_not_sound() {
        for path in [
            "",
            "a",
            "//a",
            "/a//b",
            "/a/./b",
            "/a/../b",
            "/a/%2e/b",
            "/a/%2E%2e/b",
            "/.%2e",
            "/a%00",
            "/a\0b",
            "/a b",
            "/a\u{7f}",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%ff",
            "/a\\b",
            "/é",
            "/a/..%2fb",
            "/a/..%5cb",
        ] {
            assert!(!is_sound(path), "{path}");
        }
        for path in [
            "/", "/a/", "/a.b/..c", "/a%20b", "/a%252e", "/%C3%A9", "/a%2Fb",
        ] {
            assert!(is_sound(path), "{path}");
        }
    }

    #[test]
    fn segments_are_decoded_once() {
        assert_eq!(decode("a%252Fb").unwrap(), "a%2Fb");
        assert_eq!(decode("a%2Fb").unwrap(), "a/b");
        assert_eq!(decode_rest("a%2Fb"), None);
        assert_eq!(decode_rest("a/b%20c").unwrap(), "a/b c");
    }
}
