//! How a receiver knows that a request is ours, and not an old one sent again.

use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};

/// The value of `X-Bloom-Signature`: `t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256 with the secret over
/// the seconds since 1970, a full stop, and the body.
#[must_use]
pub fn sign(secret: &SecretString, seconds: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(seconds.to_string().as_bytes());
    context.update(b".");
    context.update(body);
    let tag = context.sign();
    format!("t={seconds},v1={}", hex(tag.as_ref()))
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _written = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_other_programs_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
        let secret = SecretString::from("whsec_test");
        let signature = sign(&secret, 1_700_000_000, br#"{"a":1}"#);
        assert_eq!(
            signature,
            "t=1700000000,v1=38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789"
        );
    }
}
