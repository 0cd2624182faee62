//! How keys are made, and read again.

use uuid::Uuid;

/// This database's place in the bucket: `PREFIX/DATABASE/`. Below it stands
/// `TASK/LEASE/SHA256`: the same output of the same lease has the same key, every other one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(String);

/// What a key says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    /// The task.
    pub(super) task: Uuid,
    /// The lease whose output it is.
    pub(super) lease: Uuid,
    /// The whole of it.
    pub(super) text: &'a str,
}

impl Place {
    /// The place of the database with this name.
    #[must_use]
    pub fn new(prefix: &str, database: Uuid) -> Self {
        match prefix.trim_matches('/') {
            "" => Self(database.to_string()),
            prefix => Self(format!("{prefix}/{database}")),
        }
    }

    /// What all keys here begin with, without the slash that follows.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0
    }

    /// The key of an output.
    pub(super) fn key(&self, task: Uuid, lease: Uuid, sha256: &str) -> String {
        format!("{}/{task}/{lease}/{sha256}", self.0)
    }

    /// What a key here says; `None` for one that we did not make.
    pub(super) fn read<'a>(&self, text: &'a str) -> Option<Key<'a>> {
        let rest = text.strip_prefix(self.0.as_str())?.strip_prefix('/')?;
        let mut parts = rest.split('/');
        let mut id = || {
            let part = parts.next()?;
            // Uuid::parse_str takes more spellings than the one that we write.
            let id = Uuid::parse_str(part).ok()?;
            (id.to_string() == part).then_some(id)
        };
        let (task, lease) = (id()?, id()?);
        let sha256 = parts.next()?;
        let is_digest = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
        (is_digest && parts.next().is_none()).then_some(Key { task, lease, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_was_made_of_and_nothing_else_is_taken_for_one() {
        let place = Place::new("/bloom/", Uuid::from_u128(1));
        let (task, lease) = (Uuid::from_u128(2), Uuid::from_u128(3));
        let digest = "ab".repeat(32);
        let text = place.key(task, lease, &digest);
        let text = text.as_str();
        assert!(text.starts_with("bloom/00000000-"), "{text}");
        assert_eq!(place.read(text), Some(Key { task, lease, text }));
        let other = Place::new("bloom", Uuid::from_u128(9));
        assert_eq!(other.read(text), None, "another database's");
        for wrong in [
            "",
            "bloom",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}/more"),
            &text.replace(&task.to_string(), "notes"),
            &text.replace(&task.to_string(), &task.simple().to_string()),
            &text.replace("ab", "zz"),
        ] {
            assert_eq!(place.read(wrong), None, "{wrong}");
        }
        let bare = Place::new("", Uuid::from_u128(1));
        assert_eq!(bare.prefix(), Uuid::from_u128(1).to_string());
    }
}
