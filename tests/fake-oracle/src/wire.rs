//! The private protocol between library and server: frames over a Unix socket.
//!
//! A frame is two length-prefixed parts: a head in postcard, and cells as raw bytes, so that rows are neither copied
//! into values nor taken apart before the buffer they end in. One request is under way on a connection; a cancel
//! comes on a connection of its own and names the call it means, so that it can never hit the next one.
#![allow(dead_code)] // compiled into library and server: each uses its half

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Bound of one frame part: an array fetch of 4,000-byte columns fits many times.
const PART_BYTES_MAX: usize = 1 << 28;
/// `sun_path` of Linux holds 108 bytes with the ending zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

#[derive(Debug, Serialize, Deserialize)]
pub struct Call {
    /// Grows by one a call of the session; a cancel names it.
    pub number: u64,
    /// Cursors that the client has released since its last call.
    pub closed: Vec<u32>,
    pub what: Request,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    Logon {
        user: String,
        password: String,
        client: String,
    },
    /// Cells: `iters` rows of one value a bind occurrence.
    Execute {
        cursor: u32,
        sql: String,
        iters: u32,
        batch_errors: bool,
        commit: bool,
        prefetch: u32,
    },
    Fetch {
        cursor: u32,
        rows: u32,
    },
    Commit,
    Rollback,
    Ping,
    Version,
    /// MODULE, ACTION, CLIENT_INFO, CLIENT_IDENTIFIER, CURRENT_SCHEMA: OCI attributes of the session.
    Attribute {
        name: String,
        value: String,
    },
    Logoff,
    /// On a connection of its own: stop the given call.
    Cancel {
        session: u32,
        secret: u64,
        call: u64,
    },
    /// On a connection of its own: write the counters to the side file now.
    Stats,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    Session {
        id: u32,
        secret: u64,
        charset_id: u16,
        warning: Option<(i32, String)>,
    },
    Done,
    Text(String, u32),
    /// Cells: `rows` rows of the columns. `columns` stands in the answer to an execute only.
    Rows {
        columns: Vec<Column>,
        rows: u32,
        end: bool,
    },
    /// Cells: for RETURNING the returned rows, iteration after iteration; for a block one value a bind.
    Changed {
        rows: u64,
        counts: Vec<u64>,
        errors: Vec<(u32, i32, String)>,
        returned: Vec<u32>,
    },
    Failed {
        code: i32,
        text: String,
        rows_done: u64,
        dead: bool,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub oci_type: u16,
    pub bytes: u16,
    pub precision: i16,
    pub scale: i8,
    pub nullable: bool,
}

pub fn send<T: Serialize>(to: &mut impl Write, head: &T, cells: &[u8]) -> io::Result<()> {
    let head = postcard::to_stdvec(head).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(8 + head.len() + cells.len());
    frame.extend_from_slice(&(head.len() as u32).to_le_bytes());
    frame.extend_from_slice(&(cells.len() as u32).to_le_bytes());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(cells);
    to.write_all(&frame)
}

pub fn receive<T: for<'de> Deserialize<'de>>(from: &mut impl Read) -> io::Result<(T, Vec<u8>)> {
    let mut lengths = [0u8; 8];
    from.read_exact(&mut lengths)?;
    let at = |i: usize| u32::from_le_bytes([lengths[i], lengths[i + 1], lengths[i + 2], lengths[i + 3]]) as usize;
    let (head_bytes, cell_bytes) = (at(0), at(4));
    if head_bytes.max(cell_bytes) > PART_BYTES_MAX {
        return Err(io::Error::other("a frame is larger than any frame"));
    }
    let mut head = vec![0; head_bytes];
    from.read_exact(&mut head)?;
    let mut cells = vec![0; cell_bytes];
    from.read_exact(&mut cells)?;
    Ok((postcard::from_bytes(&head).map_err(io::Error::other)?, cells))
}

/// Where the server of a database file listens: beside the file, or, if that name is too long for a socket, in a
/// private folder under the temporary one, by a digest of the path. Both sides compute it.
pub fn socket_path(database: &str) -> PathBuf {
    let beside = format!("{database}.sock");
    if beside.len() <= SOCKET_PATH_BYTES_MAX {
        return beside.into();
    }
    let digest = database
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let temporary = std::env::var("TMPDIR").unwrap_or_default();
    let folder = if temporary.is_empty() || temporary.len() > 60 { "/tmp".to_owned() } else { temporary };
    PathBuf::from(folder).join("fake-oracle").join(format!("{digest:016x}.sock"))
}

/// One value on the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Int(i64),
    Real(f64),
    /// A decimal that fits neither: up to 38 digits as text.
    Decimal(String),
    Text(String),
    /// Of type CHAR, and so equal to a CHAR column whatever its padding. Only clients send it.
    Char(String),
    Bytes(Vec<u8>),
    /// `YYYY-MM-DD HH:MM:SS`.
    Date(String),
    /// `YYYY-MM-DD HH:MM:SS.fffffffff`, as many digits as it has.
    Timestamp(String),
}

/// A value as it stands in the received bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum View<'a> {
    Null,
    Int(i64),
    Real(f64),
    Decimal(&'a str),
    Text(&'a str),
    Char(&'a str),
    Bytes(&'a [u8]),
    Date(&'a str),
    Timestamp(&'a str),
}

impl View<'_> {
    pub fn owned(self) -> Cell {
        match self {
            View::Null => Cell::Null,
            View::Int(v) => Cell::Int(v),
            View::Real(v) => Cell::Real(v),
            View::Decimal(v) => Cell::Decimal(v.to_owned()),
            View::Text(v) => Cell::Text(v.to_owned()),
            View::Char(v) => Cell::Char(v.to_owned()),
            View::Bytes(v) => Cell::Bytes(v.to_owned()),
            View::Date(v) => Cell::Date(v.to_owned()),
            View::Timestamp(v) => Cell::Timestamp(v.to_owned()),
        }
    }
}

impl Cell {
    pub fn view(&self) -> View<'_> {
        match self {
            Cell::Null => View::Null,
            Cell::Int(v) => View::Int(*v),
            Cell::Real(v) => View::Real(*v),
            Cell::Decimal(v) => View::Decimal(v),
            Cell::Text(v) => View::Text(v),
            Cell::Char(v) => View::Char(v),
            Cell::Bytes(v) => View::Bytes(v),
            Cell::Date(v) => View::Date(v),
            Cell::Timestamp(v) => View::Timestamp(v),
        }
    }
}

pub fn put(out: &mut Vec<u8>, value: View<'_>) {
    let mut long = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        View::Text(v) => long(2, v.as_bytes()),
        View::Char(v) => long(8, v.as_bytes()),
        View::Bytes(v) => long(3, v),
        View::Decimal(v) => long(5, v.as_bytes()),
        View::Date(v) => long(6, v.as_bytes()),
        View::Timestamp(v) => long(7, v.as_bytes()),
        View::Null => out.push(0),
        View::Int(v) => {
            out.push(1);
            out.extend_from_slice(&v.to_le_bytes());
        }
        View::Real(v) => {
            out.push(4);
            out.extend_from_slice(&v.to_le_bytes());
        }
    }
}

/// Takes the next value; `None` if the bytes end inside it or are none.
pub fn take<'a>(cells: &'a [u8], at: &mut usize) -> Option<View<'a>> {
    let tag = *cells.get(*at)?;
    *at += 1;
    if tag == 0 {
        return Some(View::Null);
    }
    if matches!(tag, 1 | 4) {
        let bits: [u8; 8] = cells.get(*at..*at + 8)?.try_into().ok()?;
        *at += 8;
        return Some(if tag == 1 { View::Int(i64::from_le_bytes(bits)) } else { View::Real(f64::from_le_bytes(bits)) });
    }
    let length = u32::from_le_bytes(cells.get(*at..*at + 4)?.try_into().ok()?) as usize;
    let bytes = cells.get(*at + 4..*at + 4 + length)?;
    *at += 4 + length;
    if tag == 3 {
        return Some(View::Bytes(bytes));
    }
    let text = std::str::from_utf8(bytes).ok()?;
    match tag {
        2 => Some(View::Text(text)),
        5 => Some(View::Decimal(text)),
        6 => Some(View::Date(text)),
        7 => Some(View::Timestamp(text)),
        8 => Some(View::Char(text)),
        _ => None,
    }
}
