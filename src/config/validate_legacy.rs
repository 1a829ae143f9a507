//! Whether `[legacy]`, `[oracle]` and `[allotment]` fit each other.

use super::allotment::QuietWindow;
use super::oracle::Account;
use super::sections::{Config, HintKind, LegacyKind};
use super::validate::Judge;
use crate::domain::{AllotmentMode, ObjectName};

/// Names of Oracle 11.2 are at most so long.
const NAME_BYTES_MAX: usize = 30;
/// Two accounts alternate; a third would only be one more to guard.
const ACCOUNTS_MAX: usize = 2;

pub(super) fn legacy(config: &Config, judge: &mut Judge<'_>) {
    if config.legacy.kind == LegacyKind::Oracle {
        oracle(config, judge);
    }
    lag(config, judge);
    allotment(config, judge);
    hints(config, judge);
    reading(config, judge);
}

fn oracle(config: &Config, judge: &mut Judge<'_>) {
    let oracle = &config.oracle;
    if oracle.connect.trim().is_empty() {
        let try_ = "set oracle.connect = \"//host:1521/service\"";
        judge.say("oracle.connect", "missing".to_owned(), "legacy.kind is oracle", try_);
    }
    let connects = [("oracle.connect", Some(&oracle.connect)), ("oracle.read_connect", oracle.read_connect.as_ref())];
    for (key, connect) in connects {
        if connect.is_some_and(|text| text.to_ascii_uppercase().contains("FAILOVER_MODE")) {
            let cause = "a session that moves by itself tears a cut and hides whether a commit happened";
            judge.say(key, "FAILOVER_MODE".to_owned(), cause, "use a service and a descriptor without it");
        }
    }
    if !is_name(&oracle.schema) {
        let cause = "a plain upper-case name of at most 30 bytes";
        judge.say("oracle.schema", "not a schema name".to_owned(), cause, "for example \"SLOTBRIDGE\"");
    }
    accounts("oracle.read_accounts", &oracle.read_accounts, judge);
    accounts("oracle.write_accounts", &oracle.write_accounts, judge);
    let both = oracle.read_accounts.iter().find(|read| oracle.write_accounts.iter().any(|w| w.name == read.name));
    if let Some(both) = both {
        let message = format!("{} reads as well", both.name);
        let cause = "the account that reads must not be able to write";
        judge.say("oracle.write_accounts", message, cause, "use accounts of their own for reading and writing");
    }
    judge.between("oracle.call_timeout_ms", u64::from(oracle.call_timeout_ms), 100..=600_000);
    judge.between("oracle.fetch_rows", u64::from(oracle.fetch_rows), 1..=10_000);
    judge.between("oracle.longest_native_ms", oracle.longest_native_ms, 0..=3_600_000);
}

fn accounts(key: &str, accounts: &[Account], judge: &mut Judge<'_>) {
    if accounts.is_empty() || accounts.len() > ACCOUNTS_MAX {
        let message = format!("{} accounts", accounts.len());
        judge.say(key, message, "one, or two that alternate", "name each with its secret_file");
    }
    if let Some(wrong) = accounts.iter().find(|account| !is_name(&account.name)) {
        let message = format!("`{}` is not an account name", wrong.name);
        judge.say(key, message, "a plain upper-case name of at most 30 bytes", "for example \"SB_READ_A\"");
    }
    if let [one, two] = accounts
        && (one.name == two.name || one.secret_file == two.secret_file)
    {
        let cause = "a password could not be changed while the other serves";
        judge.say(key, "both are the same".to_owned(), cause, "name two accounts with a secret_file each");
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.as_bytes().first().is_some_and(u8::is_ascii_uppercase)
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn lag(config: &Config, judge: &mut Judge<'_>) {
    let Some(lag) = config.oracle.max_read_lag_ms else { return };
    if config.oracle.read_connect.is_none() {
        let cause = "without read_connect, reads and writes are one database and nothing lags";
        judge.say("oracle.max_read_lag_ms", "no standby".to_owned(), cause, "set oracle.read_connect, or remove it");
    }
    judge.between("oracle.max_read_lag_ms", lag, 100..=3_600_000);
}

fn allotment(config: &Config, judge: &mut Judge<'_>) {
    let allotment = &config.allotment;
    for (key, mode) in allotment.modes() {
        if mode != AllotmentMode::CountRows {
            continue;
        }
        if allotment.placeholder_view.is_none() {
            let cause = "placeholder reservations need persons that are nobody";
            let try_ = "set allotment.placeholder_view to the view of the placeholder pool, or choose another mode";
            judge.say(&key, "count_rows without a pool".to_owned(), cause, try_);
        }
        if allotment.placeholder_statement_file.is_none() {
            let cause = "placeholders must not reach lists, messages and statistics";
            let try_ =
                "name the agency's signed statement in allotment.placeholder_statement_file, or choose another mode";
            judge.say(&key, "count_rows without a statement".to_owned(), cause, try_);
        }
    }
    for window in &allotment.quiet_windows {
        if let Err(error) = window.parse::<QuietWindow>() {
            let message = format!("`{window}`: {error}");
            judge.say(
                "allotment.quiet_windows",
                message,
                "no window",
                "for example [\"23:50-00:40\", \"sat,sun 06:00-07:00\"]",
            );
        }
    }
    judge.between("allotment.release_hold_s", allotment.release_hold_s, 0..=86_400);
    judge.between("allotment.on_request_per_s_max", u64::from(allotment.on_request_per_s_max), 1..=1_000);
    judge.between("allotment.pending_max", u64::from(allotment.pending_max), 1..=1_000_000);
}

fn hints(config: &Config, judge: &mut Judge<'_>) {
    for (object, hints) in &config.capture.hints {
        let key = format!("capture.hints.{object}");
        let twice = hints.iter().enumerate().any(|(at, hint)| hints[..at].contains(hint));
        if twice {
            judge.say(&key, "a hint is named twice".to_owned(), "each runs once", "remove the second");
        }
        if hints.contains(&HintKind::HotSet) && object != "slot" {
            let cause = "only slots have units of ours";
            judge.say(&key, "no hot set".to_owned(), cause, "remove \"hot_set\"");
        }
        if object == "person" && !hints.is_empty() {
            let cause = "the register is read whole, by ranges of keys";
            judge.say(
                &key,
                "no hints for persons".to_owned(),
                cause,
                "see capture.persons_interval_h and persons_hours",
            );
        }
        if ObjectName::new(object).is_err() {
            judge.say(&key, format!("`{object}` names no object"), "not a name", "use a name of mappings/catalog.toml");
        }
    }
}

/// When the register may be read, and by how much at once; what a far day is.
fn reading(config: &Config, judge: &mut Judge<'_>) {
    let capture = &config.capture;
    let (near, far) = (u64::from(capture.window_near_days), u64::from(capture.window_far_days));
    judge.between("capture.window_far_days", far, near..=366);
    judge.between("capture.persons_page_rows", u64::from(capture.persons_page_rows), 100..=1_000_000);
    let Some(text) = &capture.persons_hours else { return };
    let message = match text.parse::<QuietWindow>() {
        Ok(hours) if hours.days == [true; 7] => return,
        Ok(_) => format!("`{text}`: the register is read on every day"),
        Err(error) => format!("`{text}`: {error}"),
    };
    judge.say("capture.persons_hours", message, "no hours of a day", "for example \"01:00-05:00\"");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Problems, load_text};

    fn problems(text: &str) -> Problems {
        let text = format!("[listen]\npartners_http = \"127.0.0.1:8080\"\n{text}");
        load_text(Path::new("slotbridge.toml"), &text, &|_| None).err().unwrap_or_default()
    }

    const ACCOUNTS: &str = "read_accounts = [{ name = \"SB_READ\", secret_file = \"r\" }]\n\
                            write_accounts = [{ name = \"SB_WRITE\", secret_file = \"w\" }]\n";

    #[test]
    fn all_that_does_not_fit_is_said_at_once_with_a_next_step() {
        let text = "[legacy]\nkind = \"oracle\"\n[oracle]\nread_connect = \"(DESCRIPTION=(CONNECT_DATA=(FAILOVER_MODE=(TYPE=SELECT))))\"\n\
                    schema = \"slot-bridge\"\nread_accounts = [{ name = \"SB\", secret_file = \"a\" }, { name = \"SB\", secret_file = \"b\" }]\n\
                    write_accounts = [{ name = \"SB\", secret_file = \"c\" }]\n\
                    [allotment]\nmode = \"count_rows\"\nquiet_windows = [\"25:00-26:00\"]\npending_max = 0\n\
                    [allotment.class.leftover]\nmod = \"quota\"\n[capture]\nwindow_far_days = 1\npersons_hours = \"sun 01:00-05:00\"\n\
                    [capture.hints]\nsite = [\"hot_set\", \"hot_set\"]\nperson = [\"timestamp\"]\n";
        insta::assert_snapshot!(problems(text).render(crate::config::Style::Plain));
    }

    #[test]
    fn a_whole_oracle_configuration_has_no_problem() {
        let text = format!(
            "[legacy]\nkind = \"oracle\"\n[oracle]\nconnect = \"//db:1521/x\"\nread_connect = \"//standby/x\"\n\
             max_read_lag_ms = 5000\n{ACCOUNTS}[allotment.class.leftover]\nmode = \"on_request\"\n"
        );
        assert!(problems(&text).is_empty(), "{}", problems(&text));
    }

    #[test]
    fn a_lag_without_a_standby_and_a_third_account_are_refused() {
        let text = format!(
            "[legacy]\nkind = \"oracle\"\n[oracle]\nconnect = \"//db:1521/x\"\nmax_read_lag_ms = 5000\n{ACCOUNTS}"
        );
        assert!(problems(&text).to_string().contains("without read_connect"));
        let third = "{ name = \"A\", secret_file = \"1\" }, { name = \"B\", secret_file = \"2\" }, { name = \"C\", secret_file = \"3\" }";
        let text =
            text.replace("max_read_lag_ms = 5000", "").replace("{ name = \"SB_READ\", secret_file = \"r\" }", third);
        assert!(problems(&text).to_string().contains("3 accounts"));
    }

    #[test]
    fn an_old_key_is_named_with_its_new_place() {
        let found = problems("[legacy]\nmode = \"counter\"\n");
        assert_eq!((found.len(), found.0[0].code), (1, "config.unknown_key"));
        assert!(found.0[0].try_.contains("allotment.mode"), "{found}");
        let found = problems("[oracle]\ncounter_maintained_by = \"trigger\"\n");
        assert_eq!((found.len(), found.0[0].code), (1, "config.unknown_key"));
        assert!(found.0[0].try_.contains("`allotment.maintained_by`"), "{found}");
    }
}
