//! The query string, decoded once, with typed readers.

use std::ops::RangeInclusive;

use crate::error::{Error, Kind, Result};

/// The most parameters a query may have.
const MAX_PARAMS: usize = 64;

/// A decoded query string.
#[derive(Debug, Default, Clone)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes `raw`, the part after the question mark.
    ///
    /// # Errors
    /// 400 for U+0000, and for more parameters than anyone needs.
    pub fn parse(raw: &str) -> Result<Self> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(raw.as_bytes())
            .take(MAX_PARAMS + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if pairs.len() > MAX_PARAMS {
            return Err(invalid("Too many query parameters".to_owned()));
        }
        if pairs
            .iter()
            .any(|(name, value)| name.contains('\0') || value.contains('\0'))
        {
            return Err(invalid("A query parameter contains U+0000".to_owned()));
        }
        Ok(Self { pairs })
    }

    /// The parameter `name`, if it is there.
    ///
    /// # Errors
    /// 400 when it is there more than once.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        let mut values = self.pairs.iter().filter(|(key, _)| key == name);
        let first = values.next();
        if values.next().is_some() {
            return Err(invalid(format!(
                "Query parameter '{name}' is given more than once"
            )));
        }
        Ok(first.map(|(_, value)| value.as_str()))
    }

    /// The integer parameter `name`, if it is there.
    ///
    /// # Errors
    /// 400 when it is no integer within `range`.
    pub fn integer(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let (min, max) = (range.start(), range.end());
        number.map(Some).ok_or_else(|| {
            let what = format!("must be an integer between {min} and {max}");
            invalid(format!("Query parameter '{name}' {what}"))
        })
    }

    /// The page size `limit`: at least 1, at most `max`, `default` when absent.
    ///
    /// # Errors
    /// 400 when it is out of range.
    pub fn limit(&self, default: i64, max: i64) -> Result<i64> {
        Ok(self.integer("limit", 1..=max)?.unwrap_or(default))
    }

    /// The switch `name`: `true`, `1` or just its name is on; `false`, `0` or absence is off.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.text(name)? {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(_) => Err(invalid(format!(
                "Query parameter '{name}' must be true or false"
            ))),
        }
    }
}

fn invalid(text: String) -> Error {
    Error::refused(Kind::Invalid, "invalid_query", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_out_of_range_are_refused() {
        for raw in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=a",
            "limit=",
            "limit=1&limit=2",
        ] {
            assert!(
                Query::parse(raw)
                    .and_then(|query| query.limit(100, 1000))
                    .is_err(),
                "{raw}"
            );
        }
        assert_eq!(
            Query::parse("limit=7").unwrap().limit(100, 1000).unwrap(),
            7
        );
        assert_eq!(Query::parse("").unwrap().limit(100, 1000).unwrap(), 100);
        assert!(Query::parse("a=%00").is_err());
    }
}
