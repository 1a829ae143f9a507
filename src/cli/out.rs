//! What commands print, and how they fail.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use super::Exit;
use crate::config::{Problems, Style};

/// Standard output. Once the reader has gone, printing does nothing.
pub struct Out {
    json: bool,
    closed: bool,
}

/// Why a command failed: for people, and with a stable code for programs.
#[derive(Debug)]
pub struct Failed {
    pub exit: Exit,
    pub code: Cow<'static, str>,
    pub message: String,
    /// Causes, outermost first.
    pub causes: Vec<String>,
    pub try_: String,
    /// Problems with their places, for `check` and whatever reads the configuration.
    pub problems: Box<Problems>,
}

impl Failed {
    pub fn new(exit: Exit, code: &'static str, message: impl fmt::Display, try_: &str) -> Failed {
        Failed {
            exit,
            code: code.into(),
            message: message.to_string(),
            causes: Vec::new(),
            try_: try_.to_owned(),
            problems: Box::default(),
        }
    }

    pub fn because(mut self, error: &dyn std::error::Error) -> Failed {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.causes.push(error.to_string());
            cause = error.source();
        }
        self
    }

    /// With a code that somebody else made.
    pub fn coded(mut self, code: &str) -> Failed {
        self.code = Cow::Owned(code.to_owned());
        self
    }

    /// With one more cause.
    pub fn noting(mut self, cause: String) -> Failed {
        self.causes.push(cause);
        self
    }

    pub fn io(message: impl fmt::Display, error: &io::Error) -> Failed {
        let try_ = match error.kind() {
            io::ErrorKind::PermissionDenied => "run it as the service user, or correct the owner",
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::StorageFull => "free space on the disk",
            _ => "look at the disk and its permissions",
        };
        Failed::new(Exit::Io, "io", message, try_).because(error)
    }
}

impl From<Problems> for Failed {
    fn from(problems: Problems) -> Failed {
        let message = format!("{} problem(s) in the configuration", problems.len());
        Failed {
            problems: Box::new(problems),
            ..Failed::new(Exit::Config, "config", message, "correct them and run `slotbridge check`")
        }
    }
}

impl Out {
    pub fn new(json: bool) -> Out {
        Out { json, closed: false }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Has the reader gone?
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        let mut stdout = io::stdout().lock();
        if stdout.write_all(bytes).and_then(|()| stdout.flush()).is_err() {
            self.closed = true;
        }
    }

    pub fn line(&mut self, line: &str) {
        self.text(&format!("{line}\n"));
    }

    pub fn value(&mut self, value: &serde_json::Value) {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.line(&text);
    }

    /// Says why a command failed: on standard error for people, on standard output as JSON.
    pub fn failed(&mut self, failed: &Failed) {
        if self.json {
            let problems: Vec<_> = failed.problems.0.iter().map(|problem| problem.to_json()).collect();
            self.value(&serde_json::json!({ "error": {
                "code": failed.code, "message": failed.message, "causes": failed.causes, "try": failed.try_,
                "problems": problems,
            }}));
            return;
        }
        let style = if io::stderr().is_terminal() { Style::Coloured } else { Style::Plain };
        let mut text = String::new();
        if failed.problems.is_empty() {
            text.push_str(&format!("error[{}]: {}\n", failed.code, failed.message));
            for cause in &failed.causes {
                text.push_str(&format!("  cause: {cause}\n"));
            }
            text.push_str(&format!("  try: {}\n", failed.try_));
        } else {
            text.push_str(&failed.problems.render(style));
        }
        // Nowhere is left to say that standard error is gone.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}
