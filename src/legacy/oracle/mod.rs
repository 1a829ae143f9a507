//! The legacy system on Oracle 11.2, by the client library that the site installs (`client`).
//!
//! `Oracle` is what a process shares: settings, client library, refused secrets, breakers, watchdog. `Session` is one
//! logon on one thread. Everything that is sent is in `sql` or built by `select` from the mapping's catalogue, and every
//! error goes through the one table in `error`.
//!
//! Not here: triggers, change notification, log mining, array DML (its row counts fail on 11.2), SELECT * of anything.

mod breaker;
pub mod catalogue;
pub mod charset;
pub mod client;
pub mod error;
pub mod examine;
mod process;
pub mod read;
pub mod secret;
pub mod select;
pub mod session;
pub mod settings;
pub mod sql;
mod sql_write;
pub mod values;
mod watchdog;
pub mod write;

pub use catalogue::catalogue;
pub use error::{ErrorClass, Failure, Step};
pub use process::Oracle;
pub use read::OracleRead;
pub use session::Session;
pub use settings::{Account, Login, Settings, TextMode};
pub use write::OracleWrite;
