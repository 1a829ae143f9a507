//! What a person sees while it runs: a live table on a terminal, a line a second elsewhere.

use std::time::{Duration, Instant};

use comfy_table::{Table, presets};

use super::tally::{Moment, Percentiles};
use crate::cli::Out;

/// Numbers of one second that do not come from partners.
#[derive(Debug, Clone, Default)]
pub struct Around {
    pub statements: u64,
    pub writeback_lag_ms: i64,
    pub waiting_ops: usize,
    /// By recounting the legacy database; `None` until the first recount.
    pub oversold: Option<usize>,
    pub booked_twice: Option<usize>,
    pub native: u64,
}

pub struct Show {
    began: Instant,
    last: Option<(Instant, u64, u64)>,
    lines_drawn: usize,
}

struct Rates {
    requests: f64,
    statements: f64,
}

impl Show {
    pub fn new() -> Show {
        Show { began: Instant::now(), last: None, lines_drawn: 0 }
    }

    pub fn draw(&mut self, moment: &Moment, around: &Around, out: &mut Out) {
        let now = Instant::now();
        let rates = match self.last {
            None => Rates { requests: 0.0, statements: 0.0 },
            Some((at, requests, statements)) => {
                let seconds = now.duration_since(at).max(Duration::from_millis(1)).as_secs_f64();
                let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
                Rates { requests: rate(moment.requests, requests), statements: rate(around.statements, statements) }
            }
        };
        self.last = Some((now, moment.requests, around.statements));
        if out.is_json() {
            return;
        }
        if out.is_terminal() {
            self.table(moment, around, &rates, out);
        } else {
            out.line(&line(self.began.elapsed(), moment, around, &rates));
        }
    }

    fn table(&mut self, moment: &Moment, around: &Around, rates: &Rates, out: &mut Out) {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        let mut row = |name: &str, value: String| {
            table.add_row([name.to_owned(), value]);
        };
        row("time", format!("{} s", self.began.elapsed().as_secs()));
        row("bookings", listed(&moment.booked));
        row("refusals", listed(&moment.refused));
        row("cancelled · declined", format!("{} · {}", moment.cancelled, moment.declined));
        row("requests", format!("{} ({:.0}/s)", moment.requests, rates.requests));
        row("answer p50/p99", shown(moment.reply_us.map(milliseconds), "ms"));
        row("freshness p50/p99", shown(moment.freshness_ms.map(whole), "ms"));
        row("legacy statements", format!("{:.0}/s", rates.statements));
        row("write-back lag", format!("{} ms, {} waiting", around.writeback_lag_ms, around.waiting_ops));
        row("native sales", around.native.to_string());
        row("units oversold", count(around.oversold));
        row("persons booked twice", count(around.booked_twice));
        row("answers outside the contract", moment.faults.to_string());
        let text = format!("{table}\n");
        let up = if self.lines_drawn > 0 { format!("\u{1b}[{}A\u{1b}[J", self.lines_drawn) } else { String::new() };
        self.lines_drawn = text.lines().count();
        out.text(&format!("{up}{text}"));
    }
}

fn line(elapsed: Duration, moment: &Moment, around: &Around, rates: &Rates) -> String {
    format!(
        "{:>4} s  booked {}  refused {}  {:.0} req/s  fresh p50/p99 {}  legacy {:.0} st/s  lag {} ms  oversold {}  twice {}",
        elapsed.as_secs(),
        listed(&moment.booked),
        listed(&moment.refused),
        rates.requests,
        shown(moment.freshness_ms.map(whole), "ms"),
        rates.statements,
        around.writeback_lag_ms,
        count(around.oversold),
        count(around.booked_twice),
    )
}

fn listed(counts: &std::collections::BTreeMap<String, u64>) -> String {
    let items: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if items.is_empty() { "–".to_owned() } else { items.join(" ") }
}

fn whole(p: Percentiles) -> (String, String) {
    (p.p50.to_string(), p.p99.to_string())
}

fn milliseconds(p: Percentiles) -> (String, String) {
    (format!("{:.1}", p.p50 as f64 / 1_000.0), format!("{:.1}", p.p99 as f64 / 1_000.0))
}

fn shown(pair: Option<(String, String)>, unit: &str) -> String {
    pair.map_or("–".to_owned(), |(p50, p99)| format!("{p50}/{p99} {unit}"))
}

fn count(count: Option<usize>) -> String {
    count.map_or("–".to_owned(), |count| count.to_string())
}
