//! Real texts to work on: the licences that the system holds, or this project's own.

use std::path::Path;

/// Where Debian and its relatives keep the common licences.
const SYSTEM: &str = "/usr/share/common-licenses";
/// The most texts that are used.
const MOST: usize = 20;
/// The largest text that is used, in bytes.
const MAX_BYTES: u64 = 200_000;
/// With fewer texts than this the system's are not worth a demo.
const LEAST: usize = 3;

/// A text with its name.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) name: String,
    pub(super) body: String,
}

impl Text {
    /// How many words it has.
    pub(super) fn words(&self) -> usize {
        self.body.split_whitespace().count()
    }
}

/// The texts, sorted by name.
pub(super) fn find() -> Vec<Text> {
    let texts = system(Path::new(SYSTEM));
    if texts.len() >= LEAST { texts } else { own() }
}

fn system(dir: &Path) -> Vec<Text> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut texts: Vec<Text> = entries
        // Links are other names of the same texts.
        .filter(|entry| {
            entry
                .metadata()
                .is_ok_and(|m| m.is_file() && m.len() < MAX_BYTES)
        })
        .filter_map(|entry| {
            let body = std::fs::read_to_string(entry.path()).ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            (!body.trim().is_empty()).then_some(Text { name, body })
        })
        .collect();
    texts.sort_by(|a, b| a.name.cmp(&b.name));
    texts.truncate(MOST);
    texts
}

fn own() -> Vec<Text> {
    [
        ("LICENSE", include_str!("../../../LICENSE")),
        ("LICENSE-APACHE", include_str!("../../../LICENSE-APACHE")),
        ("LICENSE-MIT", include_str!("../../../LICENSE-MIT")),
    ]
    .map(|(name, body)| Text {
        name: name.to_owned(),
        body: body.to_owned(),
    })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_systems_texts_the_projects_own_serve() {
        assert!(system(Path::new("/nonexistent")).is_empty());
        assert!(own().iter().all(|text| text.words() > 10));
        assert!(find().len() >= LEAST);
    }
}
