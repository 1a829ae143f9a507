//! The Oracle server: where it is, who logs on, and what its owners have decided about writing.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::section::section;

section! {
    /// The Oracle 11.2 server; used where `legacy.kind` is `oracle`. The program opens at most six sessions: three that read, one that writes, and one of each while it reconnects.
    Oracle at "oracle" {
        /// Where is written, and read unless `read_connect` is set: `//host:1521/service`, a descriptor, or a name of tnsnames.ora. FAILOVER_MODE is refused: it would tear cuts and hide lost commits.
        connect: String = String::new(), eg "\"//db-scan.example.go.kr:1521/SLOTBRIDGE\"";
        /// A standby that is read instead.
        read_connect: Option<String> = None, eg "\"//db-standby.example.go.kr:1521/SLOTBRIDGE_RO\"";
        /// Owner of the interface schema.
        schema: String = "SLOTBRIDGE".to_owned();
        /// Folder of Oracle Instant Client 19, with libclntsh.so; where it is not set, the system's loader looks.
        client_dir: Option<PathBuf> = None, eg "\"/opt/oracle/instantclient_19_25\"";
        /// Folder of tnsnames.ora and sqlnet.ora (which sets the connect timeout).
        tns_admin: Option<PathBuf> = None, eg "\"/etc/slotbridge/tns\"";
        /// Accounts that read: one, or two that alternate, so that a password can be changed while the other serves.
        read_accounts: Vec<Account> = Vec::new(), eg "[{ name = \"SB_READ_A\", secret_file = \"secrets/sb_read_a\" }, { name = \"SB_READ_B\", secret_file = \"secrets/sb_read_b\" }]";
        /// Accounts that write, as `read_accounts`; never the same ones.
        write_accounts: Vec<Account> = Vec::new(), eg "[{ name = \"SB_WRITE_A\", secret_file = \"secrets/sb_write_a\" }, { name = \"SB_WRITE_B\", secret_file = \"secrets/sb_write_b\" }]";
        /// How is written: `sql` is the closed catalogue of statements; `procedure` is the agency's package SB_API, the write account having EXECUTE on it and nothing else.
        body: Body = Body::Sql;
        /// Longest call (execute, fetch, commit), in milliseconds.
        call_timeout_ms: u32 = 30_000;
        /// Rows of one fetch.
        fetch_rows: u32 = 1_000;
        /// How text arrives: `server` has the server convert it; `raw_cp949` is for US7ASCII databases that hold EUC-KR bytes; `auto` looks at the server's character set.
        charset: Charset = Charset::Auto;
        /// How far the standby may lag before refills stop, in milliseconds; needs `read_connect`.
        max_read_lag_ms: Option<u64> = None, eg "5000";
        /// Longest native transaction, in milliseconds: after it, a re-check sees what a native booking had not yet committed.
        longest_native_ms: u64 = 60_000;
    }
}

/// An account by name, and the file that holds its password and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    pub name: String,
    pub secret_file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    Sql,
    Procedure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charset {
    Auto,
    Server,
    RawCp949,
}
