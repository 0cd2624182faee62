//! The inputs. A line of `tests/corpus/KIND.jsonl` is one: its name, why it is nasty, and `text`,
//! `hex`, or `pieces`, each with how often it is repeated.

use std::collections::BTreeMap;

use serde_json::Value;

/// What the inputs of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Unicode text, for any field that takes one.
    Text,
    /// What stands where a JSON value is expected.
    Json,
    /// Bytes that are no UTF-8.
    Bytes,
    /// A segment of a request's target, as it is spelled.
    Path,
    /// A request, each character one byte; `{KEY}` is the key.
    Wire,
    /// A line that a program says in place of stream-json.
    Stream,
    /// A last line of stream-json.
    Result,
}

/// One input.
#[derive(Debug, Clone)]
pub struct Input {
    /// Unique within its kind; what stands before the first dash is its class.
    pub name: String,
    /// What is sent.
    pub bytes: Vec<u8>,
}

impl Input {
    /// As text, which all kinds but bytes are.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("text")
    }

    fn class(&self) -> &str {
        self.name.split('-').next().unwrap_or_default()
    }
}

/// Every kind with its file.
const FILES: [(Kind, &str); 7] = [
    (Kind::Text, include_str!("../../corpus/text.jsonl")),
    (Kind::Json, include_str!("../../corpus/json.jsonl")),
    (Kind::Bytes, include_str!("../../corpus/bytes.jsonl")),
    (Kind::Path, include_str!("../../corpus/path.jsonl")),
    (Kind::Wire, include_str!("../../corpus/wire.jsonl")),
    (Kind::Stream, include_str!("../../corpus/stream.jsonl")),
    (Kind::Result, include_str!("../../corpus/result.jsonl")),
];

/// All inputs of a kind.
pub fn all(kind: Kind) -> Vec<Input> {
    let (_, file) = FILES.iter().find(|(known, _)| *known == kind).unwrap();
    file.lines().map(|line| read(kind, line)).collect()
}

fn read(kind: Kind, line: &str) -> Input {
    let line: Value = serde_json::from_str(line).expect("a JSON object a line");
    let name = line["name"].as_str().expect("a name").to_owned();
    assert!(
        line["why"].as_str().is_some_and(|why| why.len() > 10),
        "{name}: why is it nasty?"
    );
    let pieces = match (&line["text"], &line["hex"], &line["pieces"]) {
        (Value::String(text), _, _) => vec![(decode(kind, text), 1)],
        (_, Value::String(hex), _) => vec![(decode(Kind::Bytes, hex), 1)],
        (_, _, Value::Array(pieces)) => {
            let piece = |piece: &Value| {
                let times = piece[1]
                    .as_u64()
                    .and_then(|times| usize::try_from(times).ok());
                (decode(kind, piece[0].as_str().unwrap()), times.unwrap())
            };
            pieces.iter().map(piece).collect()
        }
        _ => panic!("{name}: neither text, hex nor pieces"),
    };
    let bytes = pieces.into_iter().map(|(bytes, times)| bytes.repeat(times));
    Input {
        bytes: bytes.collect::<Vec<_>>().concat(),
        name,
    }
}

fn decode(kind: Kind, text: &str) -> Vec<u8> {
    match kind {
        Kind::Bytes => {
            let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
            (0..text.len()).step_by(2).map(byte).collect()
        }
        Kind::Wire => text
            .chars()
            .map(|c| u8::try_from(c).expect("a byte"))
            .collect(),
        _ => text.as_bytes().to_vec(),
    }
}

/// Some of a kind: one of each class at a time, another one each time, so that many small helpings
/// are all of it.
#[derive(Debug)]
pub struct Helpings {
    classes: Vec<Vec<Input>>,
    turn: usize,
}

impl Helpings {
    /// Of all inputs of a kind.
    pub fn of(kind: Kind) -> Self {
        let mut classes: BTreeMap<String, Vec<Input>> = BTreeMap::new();
        for input in all(kind) {
            classes
                .entry(input.class().to_owned())
                .or_default()
                .push(input);
        }
        Self {
            classes: classes.into_values().collect(),
            turn: 0,
        }
    }

    /// The next one of each class.
    pub fn next(&mut self) -> Vec<Input> {
        self.turn += 1;
        let turn = self.turn;
        let one = |class: &Vec<Input>| class[turn % class.len()].clone();
        self.classes.iter().map(one).collect()
    }
}

#[test]
fn the_corpus_has_more_than_three_hundred_inputs_and_none_twice() {
    let mut distinct = std::collections::BTreeSet::new();
    for (kind, file) in FILES {
        let (mut names, mut inputs) = (Vec::new(), Vec::new());
        for input in all(kind) {
            distinct.insert(input.bytes.clone());
            assert!(
                !inputs.contains(&input.bytes),
                "{kind:?} {} is there twice",
                input.name
            );
            inputs.push(input.bytes);
            names.push(input.name);
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), file.lines().count(), "{kind:?}: a name twice");
    }
    assert!(distinct.len() >= 300, "{}", distinct.len());
}
