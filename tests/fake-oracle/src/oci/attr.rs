//! Attributes of handles: those that ODPI-C asks for and sets.

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::Ordering;

use super::{Body, Handle, NO_DATA, OK, OraError, body, fail, put, text, trace};

const CHARSET_UTF8: u16 = 873;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIAttrGet(
    handle: *const c_void,
    kind: u32,
    out: *mut c_void,
    size: *mut u32,
    attribute: u32,
    error: *mut c_void,
) -> c_int {
    let put_text = |text: &str| unsafe {
        put(out, text.as_ptr());
        if !size.is_null() {
            *size = text.len() as u32;
        }
    };
    unsafe {
        match (body(handle), attribute) {
            (Some(Body::Env), 31 | 262) => put(out, CHARSET_UTF8),
            (Some(Body::Svc(svc)), 7) => put(out, svc.session),
            (Some(Body::Svc(svc)), 6) => put(out, svc.server),
            (Some(Body::Svc(svc)), 176) => put(out, svc.statement_cache),
            (Some(Body::Svc(svc)), 531) => put(out, svc.call_timeout_ms.load(Ordering::Relaxed)),
            (Some(Body::Server(server)), 143) => put(out, server.status),
            (Some(Body::Server(_)), 31) => put(out, super::session::charset_id(handle)),
            (Some(Body::Session(session)), 224) if session.schema.is_empty() => return NO_DATA,
            (Some(Body::Session(session)), 224) => put_text(&session.schema),
            (Some(Body::Session(_)), 484) => put(out, 1u32),
            (Some(Body::Stmt(stmt)), 24) => put(out, stmt.kind),
            (Some(Body::Stmt(stmt)), 218) => put(out, u8::from(stmt.into > 0)),
            (Some(Body::Stmt(stmt)), 18) => put(out, stmt.columns.len() as u32),
            (Some(Body::Stmt(stmt)), 190) => put(out, stmt.names.len() as u32),
            (Some(Body::Stmt(stmt)), 197) => put(out, stmt.rows_fetched),
            (Some(Body::Stmt(stmt)), 457) => put(out, stmt.row_count),
            (Some(Body::Stmt(stmt)), 9) => put(out, stmt.row_count as u32),
            (Some(Body::Stmt(stmt)), 73) => put(out, stmt.errors),
            (Some(Body::Stmt(_)), 10 | 129) => put(out, 0u16),
            (Some(Body::Stmt(stmt)), 144) => put_text(&stmt.sql),
            (Some(Body::Bind(bind)), 42) => put(out, bind.rows_returned),
            (Some(Body::Error(handle)), 74) => put(out, handle.row),
            (Some(Body::Error(_)), 472) => put(out, 0u32),
            (Some(Body::Param(column)), _) => return param(&**column, out, size, attribute),
            (Some(Body::Pool(pool)), 311) => put(out, pool.open),
            (Some(Body::Pool(pool)), 310) => put(out, pool.busy),
            _ => {
                trace(|| format!("OCIAttrGet of type {kind} has no attribute {attribute}"));
                return fail(error, &OraError::new(24315, "illegal attribute type"));
            }
        }
    }
    OK
}

unsafe fn param(column: &crate::wire::Column, out: *mut c_void, size: *mut u32, attribute: u32) -> c_int {
    unsafe {
        match attribute {
            4 => {
                put(out, column.name.as_ptr());
                *size = column.name.len() as u32;
            }
            2 => put(out, column.oci_type),
            32 => put(out, 1u8),
            6 => put(out, column.scale),
            5 => put(out, column.precision),
            7 => put(out, u8::from(column.nullable)),
            1 | 286 => put(out, column.bytes),
            534 => put(out, 0u8),
            // Domains, annotations, vectors: nothing of 11.2.
            _ => return NO_DATA,
        }
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIAttrSet(
    handle: *mut c_void,
    kind: u32,
    value: *mut c_void,
    size: u32,
    attribute: u32,
    _error: *mut c_void,
) -> c_int {
    unsafe {
        let word = || text(value as *const c_char, size as usize);
        match (body(handle), attribute) {
            (Some(Body::Svc(svc)), 6) => svc.server = value.cast::<Handle>(),
            (Some(Body::Svc(svc)), 7) => svc.session = value.cast::<Handle>(),
            (Some(Body::Svc(svc)), 176) => svc.statement_cache = *value.cast::<u32>(),
            (Some(Body::Svc(svc)), 531) => svc.call_timeout_ms.store(*value.cast::<u32>(), Ordering::Relaxed),
            (Some(Body::Session(session)), 22) => session.user = word(),
            (Some(Body::Session(session)), 23) => session.password = word(),
            (Some(Body::Session(session)), 366) => session.pending.push(("MODULE", word())),
            (Some(Body::Session(session)), 367) => session.pending.push(("ACTION", word())),
            (Some(Body::Session(session)), 368) => session.pending.push(("CLIENT_INFO", word())),
            (Some(Body::Session(session)), 278) => session.pending.push(("CLIENT_IDENTIFIER", word())),
            (Some(Body::Session(session)), 224) => {
                session.schema = word().to_uppercase();
                session.pending.push(("CURRENT_SCHEMA", session.schema.clone()));
            }
            (Some(Body::Stmt(stmt)), 11) => super::stmt::set_prefetch(stmt, value),
            (Some(Body::Pool(pool)), 460) => pool.auth = value.cast::<Handle>(),
            _ => trace(|| format!("OCIAttrSet of type {kind}: attribute {attribute} has no effect")),
        }
    }
    OK
}
