//! Says things to people or to machines.

use std::{fmt::Display, io::Write as _};

use serde::Serialize;
use serde_json::json;

use crate::error::CliError;

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// One result: an object for machines, a text for people.
    pub(crate) fn result(self, object: &impl Serialize, text: impl Display) {
        if self.json {
            self.object(object);
        } else {
            line(&text);
        }
    }

    /// One object for machines; people see nothing.
    pub(crate) fn object(self, object: &impl Serialize) {
        if self.json {
            line(&serde_json::to_string(object).expect("plain data"));
        }
    }

    /// One line for people; machines see nothing.
    pub(crate) fn text(self, text: impl Display) {
        if !self.json {
            line(&text);
        }
    }

    /// Why the command failed.
    pub(crate) fn error(self, error: &CliError) {
        self.object(&json!({"error": {"code": error.code(), "message": error.to_string()}}));
        eprintln!("shoal: {error}");
    }
}

fn line(text: &impl Display) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone away is no reason to panic.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
