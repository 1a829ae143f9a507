//! The Oracle 11.2 double for tests: builds it once a process, starts and kills its server over a legacy file, and
//! makes it misbehave.
//!
//! ```ignore
//! let server = Server::start(&file);                        // the file: slotbridge::legacy::sqlite::schema::create
//! server.user("BRIDGE_W", "secret");                        // without any user, anybody may log on
//! server.grant("BRIDGE_W", "SB_API", "EXECUTE");            // without any grant, a user may do everything
//! server.fault(Fault::at("commit").kill().after());         // applied, but nobody is told
//! let connection = server.connect("BRIDGE_W", "secret");    // or give server.connect_string() to the daemon
//! server.counts("%SB_SLOT%");                               // executions, rows
//! ```
//! What the double cannot show: plans, row locks (all writers are serial), real character sets, and whether SQL is
//! valid on a real 11.2.
#![allow(dead_code)] // each test uses its part

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rusqlite::{Connection as Sqlite, params};

/// A running server; dropping it kills it.
pub struct Server {
    database: PathBuf,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// What the next call that fits does instead of, or after, what it was asked.
pub struct Fault {
    op: String,
    pattern: String,
    skip: u32,
    times: u32,
    code: i32,
    text: String,
    kill: bool,
    after: bool,
    delay_ms: u32,
    row: Option<u32>,
    session: Option<String>,
}

impl Fault {
    /// `op`: logon, execute, fetch, commit, rollback or ping. Without more it does nothing: say code, kill or delay.
    /// `move`: the session is carried to another instance, and nobody is told.
    pub fn at(op: &str) -> Fault {
        Fault {
            op: op.to_owned(),
            pattern: "%".to_owned(),
            skip: 0,
            times: 1,
            code: 0,
            text: String::new(),
            kill: false,
            after: false,
            delay_ms: 0,
            row: None,
            session: None,
        }
    }

    /// LIKE pattern on the SQL text, at a logon on the user.
    pub fn on(mut self, pattern: &str) -> Fault {
        self.pattern = pattern.to_owned();
        self
    }

    pub fn code(mut self, code: i32, text: &str) -> Fault {
        (self.code, self.text) = (code, text.to_owned());
        self
    }

    /// The connection is closed and the session rolled back.
    pub fn kill(mut self) -> Fault {
        self.kill = true;
        self
    }

    /// Once the op has had its effect.
    pub fn after(mut self) -> Fault {
        self.after = true;
        self
    }

    pub fn skip(mut self, calls: u32) -> Fault {
        self.skip = calls;
        self
    }

    pub fn times(mut self, times: u32) -> Fault {
        self.times = times;
        self
    }

    pub fn delay_ms(mut self, delay_ms: u32) -> Fault {
        self.delay_ms = delay_ms;
        self
    }

    /// Only the given iteration of an array statement.
    pub fn row(mut self, row: u32) -> Fault {
        self.row = Some(row);
        self
    }

    /// LIKE pattern on the session's user, module or action.
    pub fn session(mut self, pattern: &str) -> Fault {
        self.session = Some(pattern.to_owned());
        self
    }
}

/// Executions (iterations of array statements each), rows fetched or changed, and errors of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub calls: u64,
    pub rows: u64,
    pub errors: u64,
}

impl Server {
    /// Over an existing SQLite file. Returns when the server listens.
    pub fn start(database: &Path) -> Server {
        Server::start_with(database, &[])
    }

    /// `--rowscn`, `--rowscn-block N`.
    pub fn start_with(database: &Path, arguments: &[&str]) -> Server {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        let mut server = Server { database: database.to_owned(), arguments, child: None };
        server.restart();
        server
    }

    /// For `Connection::connect` and the daemon's configuration.
    pub fn connect_string(&self) -> String {
        format!("//localhost/fake:{}", self.database.display())
    }

    pub fn connect(&self, user: &str, password: &str) -> oracle::Connection {
        init_client();
        oracle::Connection::connect(user, password, self.connect_string()).expect("a connection to the double")
    }

    pub fn try_connect(&self, user: &str, password: &str) -> oracle::Result<oracle::Connection> {
        init_client();
        oracle::Connection::connect(user, password, self.connect_string())
    }

    /// Kills the server and with it all sessions; until `restart` there is no listener.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the server can be killed");
            child.wait().expect("the killed server ends");
        }
    }

    pub fn restart(&mut self) {
        self.kill();
        let mut child = Command::new(artefacts().join("fake-oracle"))
            .arg("serve")
            .arg(&self.database)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the double's server starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output is ours");
        BufReader::new(output).read_line(&mut line).expect("the server says that it listens");
        assert_eq!(line, "ready\n", "the double's server did not start");
        self.child = Some(child);
    }

    fn ctl(&self) -> Sqlite {
        let ctl = Sqlite::open(format!("{}.ctl", self.database.display())).expect("the side file");
        ctl.busy_timeout(std::time::Duration::from_secs(10)).expect("a timeout");
        ctl
    }

    pub fn fault(&self, fault: Fault) {
        let sql = "INSERT INTO fake_faults(op, pattern, skip, times, code, msg, kill, after, sleep_ms, row, session)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let Fault { op, pattern, skip, times, code, text, kill, after, delay_ms, row, session } = fault;
        self.ctl()
            .execute(sql, params![op, pattern, skip, times, code, text, kill, after, delay_ms, row, session])
            .expect("a fault");
    }

    /// Faults that have not met their call yet are taken back.
    pub fn no_faults(&self) {
        self.ctl().execute("DELETE FROM fake_faults", []).expect("no faults");
    }

    /// From the first one on, only these may log on.
    pub fn user(&self, name: &str, password: &str) {
        let sql = "INSERT OR REPLACE INTO fake_users(name, password) VALUES (upper(?1), ?2)";
        self.ctl().execute(sql, params![name, password]).expect("a user");
    }

    pub fn lock_user(&self, name: &str) {
        self.ctl().execute("UPDATE fake_users SET locked = 1 WHERE name = upper(?1)", [name]).expect("a locked user");
    }

    /// Korean wall clock, `YYYY-MM-DD HH:MM:SS`.
    pub fn expire_user(&self, name: &str, at: &str) {
        let sql = "UPDATE fake_users SET expires_at = ?2 WHERE name = upper(?1)";
        self.ctl().execute(sql, params![name, at]).expect("an expiring user");
    }

    /// From a user's first grant on, it has only what is granted; sessions that are open keep what they had.
    pub fn grant(&self, name: &str, object: &str, privilege: &str) {
        let sql = "INSERT INTO fake_grants VALUES (upper(?1), upper(?2), upper(?3))";
        self.ctl().execute(sql, params![name, object, privilege]).expect("a grant");
    }

    /// Of every user, for new sessions.
    pub fn revoke(&self, object: &str, privilege: &str) {
        let sql = "DELETE FROM fake_grants WHERE object = upper(?1) AND privilege = upper(?2)";
        assert!(self.ctl().execute(sql, params![object, privilege]).expect("a side file") > 0, "no such grant");
    }

    /// charset, banner, version, instance, host, role, undo_retention, skew_s, lock_wait_ms; for new sessions.
    pub fn param(&self, name: &str, value: &str) {
        self.ctl().execute("INSERT OR REPLACE INTO fake_params VALUES (?1, ?2)", [name, value]).expect("a parameter");
    }

    /// Of the statements whose text fits, since the server started.
    pub fn counts(&self, pattern: &str) -> Counts {
        self.counted("kind <> '' AND sql LIKE ?1", pattern)
    }

    /// Round trips of clients, since the server started: execute, fetch, commit, rollback, other, or `%`.
    pub fn trips(&self, kind: &str) -> u64 {
        self.counted("kind = '' AND sql LIKE '-- call ' || ?1", kind).calls
    }

    fn counted(&self, condition: &str, pattern: &str) -> Counts {
        let mut stream = UnixStream::connect(socket_path(&self.database)).expect("the server listens");
        stream.write_all(&stats_request()).expect("the server takes a request");
        // The answer's length, and the answer: whatever it says, the counters are written.
        let mut answer = [0u8; 8];
        stream.read_exact(&mut answer).expect("the server answers");
        let sql = format!(
            "SELECT COALESCE(SUM(count), 0), COALESCE(SUM(rows), 0), COALESCE(SUM(errors), 0) FROM fake_calls
             WHERE {condition}"
        );
        let read = |row: &rusqlite::Row<'_>| {
            let number = |at: usize| row.get::<_, i64>(at).map(|n| n as u64);
            Ok(Counts { calls: number(0)?, rows: number(1)?, errors: number(2)? })
        };
        self.ctl().query_row(&sql, [pattern], read).expect("the counters")
    }

    /// Of the server, for who measures its share of the processor.
    pub fn process(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Module, action and client identifier of the sessions that are open.
    pub fn sessions(&self) -> Vec<SessionRow> {
        let ctl = self.ctl();
        let sql = "SELECT user, module, action, client_identifier FROM fake_sessions WHERE ended = 0 ORDER BY id";
        let mut statement = ctl.prepare(sql).expect("sessions");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        rows.expect("sessions").map(|row| row.expect("a session")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `Call { number: 0, closed: [], what: Stats }` of the double's protocol: its variants are numbered in order.
fn stats_request() -> Vec<u8> {
    let head = [0u8, 0, 10];
    let mut frame = (head.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&0u32.to_le_bytes());
    frame.extend_from_slice(&head);
    frame
}

/// Beside the file, or by a digest where that is too long: the double's rule, in `wire.rs`.
fn socket_path(database: &Path) -> PathBuf {
    let database = database.display().to_string();
    let beside = format!("{database}.sock");
    if beside.len() <= 107 {
        return beside.into();
    }
    let digest = database
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let temporary = std::env::var("TMPDIR").unwrap_or_default();
    let folder = if temporary.is_empty() || temporary.len() > 60 { "/tmp".to_owned() } else { temporary };
    PathBuf::from(folder).join("fake-oracle").join(format!("{digest:016x}.sock"))
}

/// The folder with `libclntsh.so` and `fake-oracle`: the target folder of this test, after a build.
pub fn artefacts() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut folder = std::env::current_exe().expect("the test knows itself");
        folder.pop();
        if folder.ends_with("deps") {
            folder.pop();
        }
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "fake-oracle"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        build.env("CARGO_TARGET_DIR", folder.parent().expect("the profile's folder is in the target folder"));
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the double was not built");
        folder
    })
}

/// ODPI-C takes its client once a process.
pub fn init_client() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let mut parameters = oracle::InitParams::new();
        parameters.oracle_client_lib_dir(artefacts().as_os_str()).expect("a folder");
        parameters.init().expect("the double's client library");
    });
}

/// User, module, action, client identifier.
pub type SessionRow = (String, Option<String>, Option<String>, Option<String>);
