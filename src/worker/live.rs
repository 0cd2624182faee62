//! What an attempt shows of itself while it runs: to the beats, to the budget, to the live log.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use super::log::Log;

/// The longest text in a [`Progress`], in bytes.
pub const MAX_TEXT: usize = 2 << 10;

/// Where a program stands, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The last thing that it said, at most [`MAX_TEXT`] bytes.
    pub text: String,
    /// How many turns it has taken.
    pub turns: u64,
}

/// What a program has used up.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Answers of the model.
    pub turns: u64,
    /// Tokens read, without those of the cache.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Tokens read from the cache.
    pub cache_read_tokens: u64,
    /// Tokens written to the cache.
    pub cache_creation_tokens: u64,
    /// What counts against the budget: input and output.
    pub tokens_used: u64,
    /// What it cost in US dollars, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// The model that answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Shared by an attempt, the reader of its program's output, and the beats.
#[derive(Debug)]
pub struct Live {
    shown: Mutex<Option<(Progress, Usage)>>,
    spent: watch::Sender<u64>,
    done: watch::Sender<bool>,
    log: Log,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            shown: Mutex::default(),
            spent: watch::Sender::new(0),
            done: watch::Sender::new(false),
            log: Log::default(),
        }
    }
}

impl Live {
    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Shows where the program stands now.
    pub fn show(&self, progress: Progress, usage: Usage) {
        self.spent.send_replace(usage.tokens_used);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some((progress, usage));
    }

    /// What was shown last; nothing by programs that are not understood.
    #[must_use]
    pub fn shown(&self) -> Option<(Progress, Usage)> {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes that the program has said its last word.
    pub fn finish(&self) {
        self.done.send_replace(true);
    }

    /// Resolves when the program has said its last word.
    pub async fn finished(&self) {
        // The sender is a part of `self` and thus alive.
        drop(self.done.subscribe().wait_for(|done| *done).await);
    }

    /// Resolves when more than `budget` tokens were used before the program said its last word.
    pub async fn over_budget(&self, budget: f64) {
        let mut spent = self.spent.subscribe();
        #[expect(clippy::cast_precision_loss, reason = "budgets are far below 2^52")]
        let over = spent.wait_for(|spent| budget > 0.0 && *spent as f64 > budget);
        drop(over.await);
        if *self.done.borrow() {
            std::future::pending::<()>().await;
        }
    }
}
