//! The one place where the command line writes: lines, tables and JSON, safe for a terminal.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde_json::Value;

/// A writer for people and programs. A reader that has seen enough (`| head`) is not an error.
pub struct Out {
    sink: Box<dyn Write + Send>,
    terminal: bool,
    closed: bool,
}

impl Out {
    /// Standard output: results.
    #[must_use]
    pub fn stdout() -> Self {
        Self {
            sink: Box::new(io::stdout()),
            terminal: io::stdout().is_terminal(),
            closed: false,
        }
    }

    /// Standard error: progress and complaints.
    #[must_use]
    pub fn stderr() -> Self {
        Self {
            sink: Box::new(io::stderr()),
            terminal: io::stderr().is_terminal(),
            closed: false,
        }
    }

    /// Anything else that can be written to.
    #[must_use]
    pub fn to(sink: Box<dyn Write + Send>) -> Self {
        Self {
            sink,
            terminal: false,
            closed: false,
        }
    }

    /// One line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&mut self, text: impl Display) -> io::Result<()> {
        self.write(format!("{text}\n").as_bytes())
    }

    /// A value as indented JSON.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn json(&mut self, value: &Value) -> io::Result<()> {
        self.line(format_args!("{value:#}"))
    }

    /// A table, one row a line; cells are cleaned. An empty head is left out.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn table<const N: usize>(
        &mut self,
        head: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> io::Result<()> {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
        if head.iter().any(|title| !title.is_empty()) {
            table.set_header(head);
        }
        table.add_rows(
            rows.into_iter()
                .map(|row| row.map(|cell| clean(&cell, false))),
        );
        self.line(table.trim_fmt())
    }

    /// A text of unknown origin: as it is into a file or a pipe, cleaned onto a terminal.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        if !self.terminal {
            return self.write(text.as_bytes());
        }
        let end = if text.ends_with('\n') { "" } else { "\n" };
        self.write(format!("{}{end}", clean(text, true)).as_bytes())
    }

    /// Whether nobody reads any more. What only shows something may end then; what changes something
    /// goes on.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.sink.write_all(bytes).and_then(|()| self.sink.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result,
        }
    }
}

/// The text without control characters, which could drive a terminal; `lines` keeps line ends and
/// tabs.
#[must_use]
pub fn clean(text: &str, lines: bool) -> String {
    let keep = |c: char| !c.is_control() || (lines && matches!(c, '\n' | '\t'));
    text.chars()
        .map(|c| if keep(c) { c } else { '\u{FFFD}' })
        .collect()
}

/// The first line, cut to `most` characters.
#[must_use]
pub fn brief(text: &str, most: usize) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    if line.chars().count() <= most {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A span of milliseconds in the unit that suits it.
#[must_use]
pub fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(
            clean("a\x1b[31mb\nc\u{9b}", false),
            "a\u{FFFD}[31mb\u{FFFD}c\u{FFFD}"
        );
        assert_eq!(clean("a\nb\r", true), "a\nb\u{FFFD}");
    }

    #[test]
    fn long_texts_and_spans_are_short() {
        assert_eq!(brief("\n first line\nsecond", 20), "first line");
        assert_eq!(brief("äöüß", 3), "äö…");
        assert_eq!(
            [span(999), span(1_500), span(180_000), span(86_400_000)].join(","),
            "999 ms,1.5 s,3 min,24 h"
        );
    }
}
