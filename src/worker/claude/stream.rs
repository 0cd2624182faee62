//! What the CLI says with `--output-format=stream-json`: one JSON object a line.
//!
//! Lines that are no JSON, or tell of things that nobody here knows, are passed over: the last
//! line, the result, is what counts, and nothing before it may cost it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::limit::{self, Limit};
use crate::worker::live::{Live, MAX_TEXT, Progress, Usage};
use crate::worker::output::{head, to_text, without_nul};

/// How much of a tool's input or answer is shown in the log, in bytes.
const MAX_SHOWN: usize = 500;

/// The most tokens of a kind that are counted, and the most that the service takes: a stream that
/// tells of more is wrong, and must not cost the report that carries the count.
const MAX_TOKENS: u64 = 0x7fff_ffff;

/// Reads the stream of one run, chunk by chunk.
#[derive(Debug, Clone)]
pub struct Story {
    shared: Arc<Mutex<Told>>,
    live: Arc<Live>,
    /// How much the whole stream, and so a line, may be, in bytes.
    limit: usize,
}

/// What was told so far.
#[derive(Debug, Default)]
struct Told {
    partial: Vec<u8>,
    read: usize,
    usage: Usage,
    /// Tokens of the message that is being written, as told last.
    current: Tokens,
    text: String,
    limit: Option<Limit>,
    result: Option<Value>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tokens {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_creation: u64,
}

/// The end of the story.
#[derive(Debug)]
pub struct End {
    /// The `result` line, if one came.
    pub result: Option<Value>,
    /// A usage limit that an event told of.
    pub limit: Option<Limit>,
    /// What was used up.
    pub usage: Usage,
}

impl Story {
    /// An untold one of at most `limit` bytes.
    #[must_use]
    pub fn new(live: &Arc<Live>, limit: usize) -> Self {
        Self {
            shared: Arc::default(),
            live: Arc::clone(live),
            limit,
        }
    }

    /// Takes the next chunk; false when it is more than allowed.
    #[must_use]
    pub fn add(&self, chunk: &[u8]) -> bool {
        let mut told = self.lock();
        told.read += chunk.len();
        if told.read > self.limit {
            return false;
        }
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            told.partial.extend_from_slice(line);
            let line = std::mem::take(&mut told.partial);
            self.line(&mut told, &line);
            rest = &after[1..];
        }
        told.partial.extend_from_slice(rest);
        true
    }

    /// What was told, once the stream has ended.
    #[must_use]
    pub fn end(&self) -> End {
        let mut told = self.lock();
        let line = std::mem::take(&mut told.partial);
        self.line(&mut told, &line);
        End {
            result: told.result.take(),
            limit: told.limit,
            usage: told.usage.clone(),
        }
    }

    fn line(&self, told: &mut Told, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Value>(line) else {
            self.live
                .log()
                .line(&format!("? {}", head(&to_text(line), MAX_SHOWN)));
            return;
        };
        match event["type"].as_str() {
            Some("system") if event["subtype"] == "init" => {
                told.usage.model = text(&event["model"]);
            }
            Some("stream_event") => self.partial_message(told, &event["event"]),
            Some("assistant") => self.assistant(told, &event["message"]),
            Some("user") => self.tool_results(&event["message"]),
            Some("rate_limit_event") => told.limit = limit::in_event(&event).or(told.limit),
            Some("result") => {
                told.settle_cost(&event);
                told.result = Some(event);
                self.show(told);
                self.live.finish();
            }
            _ => {}
        }
    }

    /// Tokens are told while a message is being written: at its start and at its end.
    fn partial_message(&self, told: &mut Told, event: &Value) {
        match event["type"].as_str() {
            Some("message_start") => {
                told.close_message();
                told.usage.turns += 1;
                let message = &event["message"];
                if let Some(model) = text(&message["model"]) {
                    told.usage.model = Some(model);
                }
                told.current = Tokens::read(&message["usage"]);
            }
            Some("message_delta") => {
                let usage = &event["usage"];
                if let Some(output) = usage["output_tokens"].as_u64() {
                    told.current.output = told.current.output.max(output);
                }
            }
            _ => return,
        }
        self.show(told);
    }

    fn assistant(&self, told: &mut Told, message: &Value) {
        for block in message["content"].as_array().into_iter().flatten() {
            match block["type"].as_str() {
                Some("text") => {
                    let said = text(&block["text"]).unwrap_or_default();
                    self.live.log().line(&said);
                    told.text = said;
                }
                Some("tool_use") => {
                    let name = text(&block["name"]).unwrap_or_default();
                    let input = without_nul(block["input"].to_string());
                    let shown = head(&input, MAX_SHOWN);
                    self.live.log().line(&format!("> {name} {shown}"));
                }
                _ => {}
            }
        }
        self.show(told);
    }

    fn tool_results(&self, message: &Value) {
        for block in message["content"].as_array().into_iter().flatten() {
            if block["type"] != "tool_result" {
                continue;
            }
            let said = match &block["content"] {
                Value::String(text) => without_nul(text.clone()),
                Value::Array(parts) => {
                    let texts = parts.iter().filter_map(|part| text(&part["text"]));
                    texts.collect::<Vec<_>>().join("\n")
                }
                _ => continue,
            };
            self.live
                .log()
                .line(&format!("< {}", head(&said, MAX_SHOWN)));
        }
    }

    fn show(&self, told: &Told) {
        let progress = Progress {
            text: head(&told.text, MAX_TEXT),
            turns: told.usage.turns,
        };
        let mut usage = told.usage.clone();
        usage.add(told.current);
        self.live.show(progress, usage);
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn close_message(&mut self) {
        self.usage.add(std::mem::take(&mut self.current));
    }

    /// The result's own sums are those that count, where it has any.
    fn settle_cost(&mut self, result: &Value) {
        self.close_message();
        self.usage.cost_usd = result["total_cost_usd"].as_f64().or(self.usage.cost_usd);
        let sums = Tokens::read(&result["usage"]);
        if sums.input > 0 || sums.output > 0 {
            let model = self.usage.model.take();
            self.usage = Usage {
                turns: self.usage.turns,
                cost_usd: self.usage.cost_usd,
                model,
                ..Usage::default()
            };
            self.usage.add(sums);
        }
    }
}

impl Tokens {
    fn read(usage: &Value) -> Self {
        let number = |name: &str| usage[name].as_u64().unwrap_or(0);
        Self {
            input: number("input_tokens"),
            output: number("output_tokens"),
            cache_read: number("cache_read_input_tokens"),
            cache_creation: number("cache_creation_input_tokens"),
        }
    }
}

impl Usage {
    fn add(&mut self, tokens: Tokens) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more).min(MAX_TOKENS);
        add(&mut self.input_tokens, tokens.input);
        add(&mut self.output_tokens, tokens.output);
        add(&mut self.cache_read_tokens, tokens.cache_read);
        add(&mut self.cache_creation_tokens, tokens.cache_creation);
        self.tokens_used = (self.input_tokens + self.output_tokens).min(MAX_TOKENS);
    }
}

/// A text that can be stored.
fn text(value: &Value) -> Option<String> {
    value.as_str().map(|text| without_nul(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(stream: &str) -> (Arc<Live>, Story) {
        let live = Arc::new(Live::default());
        let story = Story::new(&live, 1 << 20);
        // In pieces, as pipes deliver it.
        for chunk in stream.as_bytes().chunks(7) {
            assert!(story.add(chunk));
        }
        (live, story)
    }

    const RUN: &str = r#"{"type":"system","subtype":"init","model":"m-1","session_id":"s"}
{"type":"stream_event","event":{"type":"message_start","message":{"model":"m-2","usage":{"input_tokens":11,"cache_read_input_tokens":5,"cache_creation_input_tokens":3,"output_tokens":1}}}}
{"type":"assistant","message":{"content":[{"type":"text","text":"Let me look."},{"type":"tool_use","name":"Bash","input":{"command":"ls"}}]}}
{"type":"stream_event","event":{"type":"message_delta","usage":{"output_tokens":9}}}
{"type":"user","message":{"content":[{"type":"tool_result","content":[{"type":"text","text":"a.txt"}]}]}}
"#;

    #[test]
    fn a_run_shows_text_turns_tokens_and_tools_while_it_goes_on() {
        let (live, story) = told(RUN);
        let (progress, usage) = live.shown().unwrap();
        assert_eq!(
            (progress.text.as_str(), progress.turns),
            ("Let me look.", 1)
        );
        assert_eq!(
            (usage.input_tokens, usage.output_tokens, usage.tokens_used),
            (11, 9, 20)
        );
        assert_eq!(
            (usage.cache_read_tokens, usage.cache_creation_tokens),
            (5, 3)
        );
        assert_eq!(usage.model.as_deref(), Some("m-2"));
        assert!(story.end().result.is_none());
    }

    #[test]
    fn the_result_is_found_whatever_stands_before_it() {
        let noise =
            "not json\n\0\u{FFFD}\n[1,2]\n{\"type\":3}\n{\"type\":\"new thing\"}\n\n{\"a\":\n";
        let result = r#"{"type":"result","result":"done","total_cost_usd":0.5,"usage":{"input_tokens":22,"output_tokens":16}}"#;
        // Without a line break at its end.
        let (live, story) = told(&format!("{RUN}{noise}{result}"));
        let end = story.end();
        assert_eq!(end.result.unwrap()["result"], "done");
        assert_eq!((end.usage.tokens_used, end.usage.cost_usd), (38, Some(0.5)));
        assert_eq!(live.shown().unwrap().1, end.usage);
    }

    #[test]
    fn a_count_beyond_all_bounds_stays_one_that_the_service_takes() {
        let result = r#"{"type":"result","result":"done","usage":{"input_tokens":18446744073709551615,"output_tokens":18446744073709551615}}"#;
        let end = told(result).1.end();
        assert_eq!(end.result.unwrap()["result"], "done");
        assert_eq!(end.usage.tokens_used, MAX_TOKENS);
        assert_eq!(end.usage.input_tokens, MAX_TOKENS);
    }

    #[test]
    fn a_flood_has_an_end() {
        let story = Story::new(&Arc::default(), 100);
        assert!(story.add(&[b'x'; 100]));
        assert!(!story.add(b"x"));
    }

    #[test]
    fn a_limit_in_an_event_is_remembered() {
        let event = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":7}}
{"type":"rate_limit_event","rate_limit_info":{"status":"allowed"}}
"#;
        assert_eq!(
            told(event).1.end().limit,
            Some(Limit { resets_at: Some(7) })
        );
    }
}
