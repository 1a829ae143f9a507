//! The Oracle double as the demonstration's legacy system: its server process, its accounts, and what befalls it.
//! Builds with debug assertions only; `double_absent.rs` stands in its place elsewhere.
//!
//! Everything goes through the double's side file and its process, as it would from outside: nothing of the daemon is
//! touched. An injected fault counts once it has struck, which the double writes down itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tokio_util::sync::CancellationToken;

use super::DemoFailed;
use super::dice::Dice;
use super::tally::Tally;
use crate::app::Condition;
use crate::config::{Account, Body, Config, LegacyKind};
use crate::legacy::LegacyErrorKind;
use crate::writeback::Status;

const SERVER: &str = "fake-oracle";
const CLIENT: &str = "libclntsh.so";
const READER: &str = "SB_READ";
const WRITER: &str = "SB_WRITE";
/// What the write account of body `procedure` may do.
const WRITER_GRANT: (&str, &str) = ("SB_API", "EXECUTE");
/// How long a fault may wait for the call that it strikes.
const STRIKES_WITHIN: Duration = Duration::from_millis(1_500);
const LISTENER_DOWN: Duration = Duration::from_millis(400);
const REFUSED_FOR: Duration = Duration::from_millis(300);
const REFUSED_WITHIN: Duration = Duration::from_secs(4);
const BETWEEN_MS: usize = 150;
const LOOK: Duration = Duration::from_millis(20);

/// A fault that a call of the adapter meets.
struct Strike {
    name: &'static str,
    op: &'static str,
    session: &'static str,
    code: i32,
    text: &'static str,
    kills: bool,
    after: bool,
    /// Struck are statements on a slot, not the whole session's.
    on_slot: bool,
}

const NONE: Strike =
    Strike { name: "", op: "commit", session: WRITER, code: 0, text: "", kills: false, after: false, on_slot: false };
const STRIKES: [Strike; 8] = [
    Strike { name: "session killed mid-fetch", op: "fetch", session: READER, kills: true, ..NONE },
    Strike { name: "session killed mid-transaction", op: "execute", kills: true, on_slot: true, ..NONE },
    Strike { name: "commit not applied, session killed", kills: true, ..NONE },
    Strike { name: "commit applied, not acknowledged", kills: true, after: true, ..NONE },
    Strike {
        name: "ORA-00060 deadlock",
        op: "execute",
        code: 60,
        text: "deadlock detected while waiting for resource",
        on_slot: true,
        ..NONE
    },
    Strike {
        name: "ORA-30006 lock timeout",
        op: "execute",
        code: 30006,
        text: "resource busy; acquire with WAIT timeout expired",
        on_slot: true,
        ..NONE
    },
    Strike {
        name: "ORA-00054 lock timeout",
        op: "execute",
        code: 54,
        text: "resource busy and acquire with NOWAIT specified or timeout expired",
        on_slot: true,
        ..NONE
    },
    Strike {
        name: "ORA-01555 during a read",
        op: "fetch",
        session: READER,
        code: 1555,
        text: "snapshot too old",
        ..NONE
    },
];
const LISTENER: &str = "listener down";
const PASSWORD: &str = "ORA-01017 password refused";

/// A double that runs; dropping it kills it.
pub struct Double(Arc<Inner>);

struct Inner {
    database: PathBuf,
    artefacts: PathBuf,
    dir: PathBuf,
    body: Body,
    server: Mutex<Option<Child>>,
    /// Faults that struck.
    struck: Mutex<BTreeMap<&'static str, u64>>,
}

impl Double {
    /// Over an existing legacy file. The client library and the server lie beside this program.
    pub fn start(database: &Path, dir: &Path, body: Body) -> Result<Double, DemoFailed> {
        let artefacts = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
        let artefacts = artefacts.filter(|folder| [SERVER, CLIENT].iter().all(|name| folder.join(name).exists()));
        let artefacts = artefacts.ok_or(DemoFailed::NoDouble)?;
        let inner = Inner {
            database: database.to_owned(),
            artefacts,
            dir: dir.to_owned(),
            body,
            server: Mutex::default(),
            struck: Mutex::default(),
        };
        let double = Double(Arc::new(inner));
        double.0.serve()?;
        for user in [READER, WRITER] {
            double.0.set_password(user, "first")?;
            double.0.write_secret(user, "first")?;
        }
        if body == Body::Procedure {
            let sql = "INSERT INTO fake_grants VALUES (?1, ?2, ?3)";
            double.0.ctl()?.execute(sql, params![WRITER, WRITER_GRANT.0, WRITER_GRANT.1]).map_err(side_file)?;
        }
        Ok(double)
    }

    pub fn configure(&self, config: &mut Config) {
        let account =
            |user: &str| vec![Account { name: user.to_owned(), secret_file: self.0.dir.join(secret_name(user)) }];
        config.legacy.kind = LegacyKind::Oracle;
        config.oracle.connect = format!("fake:{}", self.0.database.display());
        config.oracle.client_dir = Some(self.0.artefacts.clone());
        config.oracle.read_accounts = account(READER);
        config.oracle.write_accounts = account(WRITER);
        config.oracle.body = self.0.body;
    }

    /// Injects faults until `stop`: each kind once, in an order that the dice choose, and then again.
    pub fn disturb(
        &self,
        condition: Arc<Condition>,
        mut dice: Dice,
        tally: Arc<Tally>,
        stop: CancellationToken,
    ) -> JoinHandle<()> {
        let inner = self.0.clone();
        std::thread::spawn(move || {
            while !stop.is_cancelled() {
                let mut deck: Vec<usize> = (0..STRIKES.len() + 2).collect();
                while !deck.is_empty() && !stop.is_cancelled() {
                    let drawn = deck.swap_remove(dice.below(deck.len()));
                    let done = match STRIKES.get(drawn) {
                        Some(strike) => inner.strike(strike, &stop),
                        None if drawn == STRIKES.len() => inner.take_listener_down(),
                        None => inner.refuse_password(&condition, &mut dice),
                    };
                    if let Err(error) = done {
                        return tally.fault(format!("faults could not be injected: {error}"));
                    }
                    std::thread::sleep(Duration::from_millis(100 + dice.below(BETWEEN_MS) as u64));
                }
            }
        })
    }

    /// Faults that struck, by kind.
    pub fn struck(&self) -> BTreeMap<&'static str, u64> {
        locked(&self.0.struck).clone()
    }

    /// Faults that no call has met are taken back.
    pub fn calm(&self) -> Result<(), DemoFailed> {
        self.0.ctl()?.execute("DELETE FROM fake_faults", []).map_err(side_file).map(drop)
    }
}

impl Inner {
    fn serve(&self) -> Result<(), DemoFailed> {
        let io = |source| DemoFailed::File { path: self.artefacts.join(SERVER), source };
        let mut child = Command::new(self.artefacts.join(SERVER))
            .arg("serve")
            .arg(&self.database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(io)?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(io)?;
        }
        if line != "ready\n" {
            return Err(DemoFailed::Legacy { cause: "the double's server did not begin to listen".to_owned() });
        }
        *locked(&self.server) = Some(child);
        Ok(())
    }

    fn kill(&self) {
        if let Some(mut child) = locked(&self.server).take() {
            // One that has ended by itself is as dead.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn ctl(&self) -> Result<Connection, DemoFailed> {
        let ctl = Connection::open(format!("{}.ctl", self.database.display())).map_err(side_file)?;
        ctl.busy_timeout(Duration::from_secs(10)).map_err(side_file)?;
        Ok(ctl)
    }

    fn set_password(&self, user: &str, password: &str) -> Result<(), DemoFailed> {
        let sql = "INSERT OR REPLACE INTO fake_users(name, password) VALUES (?1, ?2)";
        self.ctl()?.execute(sql, [user, password]).map_err(side_file).map(drop)
    }

    /// Beside it first, then in its place: the daemon never reads half a password.
    fn write_secret(&self, user: &str, password: &str) -> Result<(), DemoFailed> {
        let (path, beside) = (self.dir.join(secret_name(user)), self.dir.join(format!("{}.new", secret_name(user))));
        let io = |source| DemoFailed::File { path: path.clone(), source };
        let mut options = std::fs::File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(io)?;
        file.write_all(password.as_bytes()).map_err(io)?;
        std::fs::rename(&beside, &path).map_err(io)
    }

    fn note(&self, name: &'static str) {
        *locked(&self.struck).entry(name).or_default() += 1;
    }

    fn inject(&self, strike: &Strike) -> Result<i64, DemoFailed> {
        let pattern = match (strike.on_slot, self.body) {
            (false, _) => "%",
            (true, Body::Sql) => "%SB_SLOT_W%",
            (true, Body::Procedure) => "%APPLY_OP%",
        };
        let sql = "INSERT INTO fake_faults(op, pattern, code, msg, kill, after, session)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id";
        let Strike { op, code, text, kills, after, session, .. } = *strike;
        let bound = params![op, pattern, code, text, kills, after, session];
        self.ctl()?.query_row(sql, bound, |row| row.get(0)).map_err(side_file)
    }

    /// Lays the fault out and waits until a call has met it; one that none meets in time is taken back.
    fn strike(&self, strike: &Strike, stop: &CancellationToken) -> Result<(), DemoFailed> {
        let id = self.inject(strike)?;
        let ctl = self.ctl()?;
        let until = Instant::now() + STRIKES_WITHIN;
        while Instant::now() < until && !stop.is_cancelled() && is_laid(&ctl, id)? {
            std::thread::sleep(LOOK);
        }
        let taken_back = ctl.execute("DELETE FROM fake_faults WHERE id = ?1 AND times > 0", [id]).map_err(side_file)?;
        if taken_back == 0 {
            self.note(strike.name);
        }
        Ok(())
    }

    /// Kills the server and all sessions with it; nobody listens for a while.
    fn take_listener_down(&self) -> Result<(), DemoFailed> {
        self.kill();
        std::thread::sleep(LISTENER_DOWN);
        self.serve()?;
        self.note(LISTENER);
        Ok(())
    }

    /// The DBA changes a password before the operator knows it: the next logon is refused, and none is tried until the
    /// secret file says the new one.
    fn refuse_password(&self, condition: &Condition, dice: &mut Dice) -> Result<(), DemoFailed> {
        let password = format!("secret{}", dice.below(1_000_000));
        self.set_password(WRITER, &password)?;
        let id = self.inject(&Strike { kills: true, ..NONE })?;
        let until = Instant::now() + REFUSED_WITHIN;
        let refused = || {
            let status = condition.writeback().status;
            matches!(status, Status::Halted { kind: LegacyErrorKind::Credentials, .. })
        };
        while !refused() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        if refused() {
            self.note(PASSWORD);
            std::thread::sleep(REFUSED_FOR);
        }
        self.ctl()?.execute("DELETE FROM fake_faults WHERE id = ?1", [id]).map_err(side_file)?;
        self.write_secret(WRITER, &password)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_laid(ctl: &Connection, id: i64) -> Result<bool, DemoFailed> {
    let sql = "SELECT EXISTS (SELECT 1 FROM fake_faults WHERE id = ?1 AND times > 0)";
    ctl.query_row(sql, [id], |row| row.get(0)).map_err(side_file)
}

fn secret_name(user: &str) -> String {
    format!("{}.secret", user.to_lowercase())
}

fn side_file(error: rusqlite::Error) -> DemoFailed {
    DemoFailed::Legacy { cause: format!("the double's side file: {error}") }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
