//! `libclntsh.so`: the part of the OCI C ABI that ODPI-C 5.4 calls, as a thin client of the server in this package.
//!
//! It owns handles, bind and define buffers and the codecs of numbers and dates. It knows nothing of SQL but where
//! binds stand, and holds no database: a process must never have two copies of SQLite on one file, because closing
//! one drops the POSIX locks of the other. Signatures follow ODPI-C's own typedefs; no Oracle header is used.
#![allow(non_snake_case)]
// The functions are the C ABI: what they demand of their arguments is what ODPI-C passes.
#![allow(clippy::missing_safety_doc, clippy::too_many_arguments)]

#[path = "sql/lex.rs"]
mod lex;
mod number;
mod oci;
#[path = "sql/shape.rs"]
mod shape;
mod wire;
