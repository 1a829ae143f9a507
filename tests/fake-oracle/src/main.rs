//! `fake-oracle serve FILE [--rowscn] [--rowscn-block N]`: the server of the double, over one SQLite file.
//!
//! It says `ready` on its output when it listens, and ends when its input closes or on SIGTERM. Killing it kills all
//! sessions: what they had not committed is gone, and their clients see a dead connection.

#[path = "sql/lex.rs"]
mod lex;
mod server;
#[path = "sql/shape.rs"]
mod shape;
mod sql;
mod wire;

use std::io::Read;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut path = None;
    let mut rowscn = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "serve" => path = words.next(),
            "--rowscn" => rowscn = rowscn.or(Some(1)),
            "--rowscn-block" => rowscn = words.next().and_then(|n| n.parse().ok()),
            _ => path = None,
        }
    }
    let Some(path) = path else {
        eprintln!("usage: fake-oracle serve FILE [--rowscn] [--rowscn-block ROWS]");
        return ExitCode::from(2);
    };
    let shared = match server::Shared::open(&path, rowscn) {
        Ok(shared) => shared,
        Err(why) => {
            eprintln!("fake-oracle: {path}: {why}");
            return ExitCode::FAILURE;
        }
    };
    std::thread::spawn(|| {
        // Whoever started the server holds its input; when that process is gone, so is the server.
        std::io::stdin().lock().read_to_end(&mut Vec::new()).ok();
        std::process::exit(0);
    });
    match server::listen(shared) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("fake-oracle: {path}: {why}");
            ExitCode::FAILURE
        }
    }
}
