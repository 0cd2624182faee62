//! A JSON reader that refuses what a queue must not store: duplicate keys, U+0000, integers that
//! do not fit 64 bits, deep nesting. Everything it accepts survives Postgres' `text` and `jsonb`.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{Error, Kind, Result};

/// How deeply arrays and objects may nest.
pub const MAX_DEPTH: usize = 64;

/// Parses one JSON text.
///
/// # Errors
/// 400 with a text that says what is wrong and where, and repeats nothing of the input.
pub fn parse(bytes: &[u8]) -> Result<Value> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(invalid("Invalid JSON: it starts with a byte order mark"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| invalid("Invalid JSON: the body is not valid UTF-8"))?;
    check_integers(text.as_bytes())?;
    let mut reader = serde_json::Deserializer::from_str(text);
    Strict { depth: 0 }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| invalid(&format!("Invalid JSON: {error}")))
}

fn invalid(text: &str) -> Error {
    Error::refused(Kind::Invalid, "invalid_json", text)
}

/// Refuses integer literals beyond `i64`, which the parser would silently turn into floats.
fn check_integers(text: &[u8]) -> Result<()> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += match byte {
            b'"' => string_length(&text[at..]),
            b'-' | b'0'..=b'9' => {
                let length = text[at..]
                    .iter()
                    .take_while(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
                    .count();
                let literal = &text[at..at + length];
                if !fits(literal) {
                    return Err(invalid("Invalid JSON: an integer does not fit 64 bits"));
                }
                length
            }
            _ => 1,
        };
    }
    Ok(())
}

/// The length of the string literal that `text` starts with, quotes included.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    text.len()
}

/// Whether a number literal is no integer or one within `i64`. Malformed ones are the parser's.
fn fits(literal: &[u8]) -> bool {
    const SURELY_FITS: usize = 18;
    let digits = literal.strip_prefix(b"-").unwrap_or(literal);
    if digits.len() <= SURELY_FITS || !digits.iter().all(u8::is_ascii_digit) {
        return true;
    }
    std::str::from_utf8(literal).is_ok_and(|text| text.parse::<i64>().is_ok())
}

/// Builds a [`Value`] at a given depth.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nesting deeper than {MAX_DEPTH}")));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(without_nul(text)?))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(inner)?;
            if members.insert(without_nul(name)?, value).is_some() {
                return Err(A::Error::custom("an object has the same key twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

fn without_nul<E: serde::de::Error>(text: String) -> Result<String, E> {
    if text.contains('\0') {
        return Err(E::custom("a string contains U+0000"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts_are_refused() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        let abyss = "[".repeat(100_000);
        let texts: [&[u8]; 22] = [
            b"\xef\xbb\xbf{}",
            b"\"\xff\"",
            b"{\"a\":\"\\u0000\"}",
            b"{\"\\u0000\":1}",
            b"\"\\ud800\"",
            b"\"\\udc00x\"",
            b"1e131000",
            b"-1e400",
            b"9223372036854775808",
            b"-9223372036854775809",
            b"123456789012345678901234567890",
            b"{\"a\":1,\"a\":2}",
            b"NaN",
            b"{} {}",
            b"",
            b"[1,]",
            b"{\"a\"",
            b"'a'",
            b"01",
            b"\"a\nb\"",
            deep.as_bytes(),
            abyss.as_bytes(),
        ];
        for text in texts {
            let start = &text[..text.len().min(20)];
            assert!(parse(text).is_err(), "{}", String::from_utf8_lossy(start));
        }
    }

    #[test]
    fn ordinary_texts_keep_their_values() {
        let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
        assert!(parse(deep.as_bytes()).is_ok());
        let value = parse(br#"{"a":"\"-9999999999999999999","b":-9223372036854775808,"c":1e20}"#);
        let value = value.unwrap();
        assert_eq!(value["b"], serde_json::json!(i64::MIN));
        assert_eq!(value["c"].as_f64(), Some(1e20));
        assert_eq!(parse(b"-0").unwrap().as_f64(), Some(0.0));
        assert_eq!(parse("\"\\ud83d\\ude00 é\"".as_bytes()).unwrap(), "😀 é");
    }
}
