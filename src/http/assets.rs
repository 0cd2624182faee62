//! The web UI: files of `ui/` that the program carries, packed once, when the first is asked for.
//!
//! ```text
//! /                          index.html: asked for anew each time (ETag)
//! /assets/VERSION/app/…      the rest. VERSION is a hash of all files, so what is kept for a year
//!                            under one address never changes
//! ```
//! They need no key; everything that they ask for does. The page's places are behind its `#`, so no
//! path of the API can be hidden by one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use rust_embed::Embed;
use sha2::{Digest as _, Sha256};

use super::{Request, Response, StatusCode};
use crate::error::{Error, Kind, Result};

/// What the page may do: load scripts, styles and icons from here, and call the API. No markup is
/// ever made from text, which the last two keep so.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);
/// What is kept without asking: its address changes when it does.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";
/// What is asked for anew, and seldom sent.
const ASK_FIRST: &str = "no-cache";
/// Where `index.html` names the version.
const VERSION: &str = "{{version}}";
/// The page itself.
const PAGE: &str = "index.html";

#[derive(Embed)]
#[folder = "ui/"]
struct Files;

/// One file, as it is sent.
#[derive(Debug)]
pub struct Asset {
    kind: &'static str,
    tag: String,
    plain: Bytes,
    packed: Bytes,
}

impl Asset {
    fn new(name: &str, bytes: Vec<u8>) -> Option<Self> {
        let kind = kind(name)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing into memory does not fail; were it to, the file would go out as it is.
        let packed = encoder.write_all(&bytes).and_then(|()| encoder.finish());
        Some(Self {
            kind,
            tag: digest([bytes.as_slice()]),
            packed: packed.map_or_else(|_| Bytes::new(), Bytes::from),
            plain: Bytes::from(bytes),
        })
    }

    /// How many bytes travel to a browser.
    #[must_use]
    pub fn packed_len(&self) -> usize {
        self.packed.len()
    }

    fn answer(&self, request: &Request, keep: &str) -> Result<Response> {
        let takes = request.header("accept-encoding").unwrap_or_default();
        let is_packed = !self.packed.is_empty() && takes_gzip(takes);
        let tag = format!("\"{}{}\"", self.tag, if is_packed { "-gz" } else { "" });
        let known = request.header("if-none-match").unwrap_or_default();
        let mut response = if is_known(known, &tag) {
            Response::empty(StatusCode::NOT_MODIFIED)
        } else if is_packed {
            Response::bytes(self.kind, self.packed.clone()).header("content-encoding", "gzip")?
        } else {
            Response::bytes(self.kind, self.plain.clone())
        };
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
        response
            .header("etag", &tag)?
            .header("vary", "accept-encoding")?
            .header("cache-control", keep)
    }
}

/// All files of the UI, and the hash of them.
#[derive(Debug)]
pub struct Bundle {
    /// Stands in the addresses of all files but the page.
    pub version: String,
    /// By path.
    pub assets: BTreeMap<String, Asset>,
}

/// What this program carries.
pub static BUNDLE: LazyLock<Bundle> = LazyLock::new(Bundle::embedded);

impl Bundle {
    fn embedded() -> Self {
        let mut files: BTreeMap<String, Vec<u8>> = Files::iter()
            .filter_map(|name| {
                let file = Files::get(&name)?;
                Some((name.into_owned(), file.data.into_owned()))
            })
            .collect();
        let named = files
            .iter()
            .flat_map(|(name, bytes)| [name.as_bytes(), bytes.as_slice()]);
        let version = digest(named);
        if let Some(page) = files.get_mut(PAGE) {
            *page = String::from_utf8_lossy(page)
                .replace(VERSION, &version)
                .into_bytes();
        }
        let assets = files
            .into_iter()
            .filter_map(|(name, bytes)| Some((name.clone(), Asset::new(&name, bytes)?)))
            .collect();
        Self { version, assets }
    }
}

/// `GET /` and `GET /assets/VERSION/…`. Whatever else no route takes is 404.
///
/// A file of another version is answered with the present one, which nobody keeps: while two
/// versions of the service run side by side, a page must not depend on whom it asks.
pub async fn serve<S>(_state: Arc<S>, request: Request) -> Result<Response> {
    let path = request.param("path")?;
    let (name, keep) = if path.is_empty() {
        (PAGE, ASK_FIRST)
    } else {
        let file = path.strip_prefix("assets/").and_then(|x| x.split_once('/'));
        match file {
            Some((version, name)) if version == BUNDLE.version => (name, FOR_GOOD),
            Some((_, name)) if name != PAGE => (name, ASK_FIRST),
            _ => return Err(missing()),
        }
    };
    let asset = BUNDLE.assets.get(name).ok_or_else(missing)?;
    asset.answer(&request, keep)
}

fn missing() -> Error {
    Error::refused(Kind::NotFound, "not_found", "Not found")
}

/// The content type of a file; none for what is not served.
fn kind(name: &str) -> Option<&'static str> {
    let base = name.rsplit('/').next().unwrap_or(name);
    Some(match base.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        None if base.starts_with("LICENSE") => "text/plain; charset=utf-8",
        _ => return None,
    })
}

/// The first 16 hexadecimal digits of the hash of these parts.
fn digest<'b>(parts: impl IntoIterator<Item = &'b [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let mut text = String::new();
    for byte in &hash.finalize()[..8] {
        // Writing into a string does not fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

/// Whether an `Accept-Encoding` takes gzip: named, or by `*`, and not with a weight of 0.
fn takes_gzip(accept: &str) -> bool {
    let mut any = false;
    for offer in accept.split(',') {
        let mut parts = offer.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        let is_wanted = weight.is_none_or(|weight| weight > 0.0);
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return is_wanted;
        }
        any |= coding == "*" && is_wanted;
    }
    any
}

/// Whether an `If-None-Match` names this tag; `W/` in front of one does not matter here.
fn is_known(known: &str, tag: &str) -> bool {
    known.split(',').map(str::trim).any(|one| {
        let one = one.strip_prefix("W/").unwrap_or(one);
        one == tag || one == "*"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_counts_only_where_it_is_wanted() {
        for takes in ["gzip", "br, gzip;q=0.5", "GZIP", "*", "deflate, *;q=0.1"] {
            assert!(takes_gzip(takes), "{takes}");
        }
        for takes in [
            "",
            "br",
            "gzip;q=0",
            "gzip; q=0.0, br",
            "*;q=0",
            "gzip;q=0, *",
        ] {
            assert!(!takes_gzip(takes), "{takes}");
        }
    }

    #[test]
    fn a_known_tag_is_recognised_among_others() {
        assert!(is_known("\"a\", W/\"b\"", "\"b\""));
        assert!(is_known("*", "\"b\""));
        assert!(!is_known("\"a\"", "\"b\""));
        assert!(!is_known("", "\"b\""));
    }

    #[test]
    fn what_is_no_file_of_the_page_has_no_kind() {
        assert_eq!(kind("vendor/README.md"), None);
        assert_eq!(kind("vendor/SHA256SUMS"), None);
        assert_eq!(
            kind("vendor/LICENSE-htm"),
            Some("text/plain; charset=utf-8")
        );
    }
}
