//! Numbers and date-times that ODPI-C converts through the library.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use super::{OK, OraError, fail, put, text};
use crate::number;

/// OCI_NUMBER_SIGNED.
const SIGNED: u32 = 2;
/// Korea: the zone of a time that states none.
const ZONE_MINUTES: i32 = 540;

/// What a date-time descriptor holds.
#[derive(Debug, Clone, Default)]
pub struct Stamp {
    pub year: i16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub nanos: u32,
    pub zone_minutes: Option<i32>,
}

impl Stamp {
    /// `YYYY-MM-DD HH:MM:SS`, and a fraction of 3, 6 or 9 digits where there is one: texts compare as times do.
    pub fn iso(&self) -> String {
        let Stamp { year, month, day, hour, minute, second, nanos, .. } = self;
        let whole = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
        match nanos {
            0 => whole,
            n if n % 1_000_000 == 0 => format!("{whole}.{:03}", n / 1_000_000),
            n if n % 1_000 == 0 => format!("{whole}.{:06}", n / 1_000),
            n => format!("{whole}.{n:09}"),
        }
    }

    pub fn parse(text: &str) -> Option<Stamp> {
        let b = text.as_bytes();
        let number = |from: usize, to: usize| {
            b.get(from..to)?.iter().try_fold(0u32, |n, d| d.is_ascii_digit().then(|| n * 10 + u32::from(d - b'0')))
        };
        let mut stamp = Stamp {
            year: number(0, 4)? as i16,
            month: number(5, 7)? as u8,
            day: number(8, 10)? as u8,
            ..Stamp::default()
        };
        if b.len() >= 19 {
            stamp.hour = number(11, 13)? as u8;
            stamp.minute = number(14, 16)? as u8;
            stamp.second = number(17, 19)? as u8;
        }
        if let Some(fraction) = b.get(20..) {
            let digits = fraction.iter().take_while(|d| d.is_ascii_digit()).take(9).count();
            stamp.nanos = number(20, 20 + digits)? * 10u32.pow(9 - digits as u32);
        }
        Some(stamp)
    }
}

fn zone(text: &str) -> Option<i32> {
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    let minutes = hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?;
    Some(if sign == "-" { -minutes } else { minutes })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCINumberFromInt(
    _error: *mut c_void,
    value: *const c_void,
    _size: u32,
    sign: u32,
    out: *mut c_void,
) -> c_int {
    let number = if sign == SIGNED {
        number::encode_int(unsafe { ptr::read_unaligned(value.cast::<i64>()) })
    } else {
        let value = unsafe { ptr::read_unaligned(value.cast::<u64>()) };
        number::encode(&value.to_string()).expect("20 digits are in range")
    };
    unsafe { ptr::copy_nonoverlapping(number.as_ptr(), out.cast(), 22) };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCINumberToInt(
    error: *mut c_void,
    number: *const c_void,
    _size: u32,
    sign: u32,
    out: *mut c_void,
) -> c_int {
    let text = number::decode(unsafe { std::slice::from_raw_parts(number.cast(), 22) });
    let whole = text.split('.').next().unwrap_or("0");
    let overflow = OraError::new(22053, "overflow error");
    if sign == SIGNED {
        let Ok(value) = whole.parse::<i64>() else { return unsafe { fail(error, &overflow) } };
        unsafe { put(out, value) };
    } else {
        let Ok(value) = whole.parse::<u64>() else { return unsafe { fail(error, &overflow) } };
        unsafe { put(out, value) };
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCINumberFromReal(
    error: *mut c_void,
    value: *const c_void,
    _size: u32,
    out: *mut c_void,
) -> c_int {
    let value = unsafe { ptr::read_unaligned(value.cast::<f64>()) };
    match number::encode(&value.to_string()) {
        Some(number) => {
            unsafe { ptr::copy_nonoverlapping(number.as_ptr(), out.cast(), 22) };
            OK
        }
        None => unsafe { fail(error, &OraError::new(22054, "underflow error")) },
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCINumberToReal(
    _error: *mut c_void,
    number: *const c_void,
    _size: u32,
    out: *mut c_void,
) -> c_int {
    let text = number::decode(unsafe { std::slice::from_raw_parts(number.cast(), 22) });
    unsafe { put(out, text.parse::<f64>().unwrap_or(f64::NAN)) };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIDateTimeConstruct(
    _handle: *mut c_void,
    _error: *mut c_void,
    stamp: *mut c_void,
    year: i16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    nanos: u32,
    zone_text: *const c_char,
    zone_length: usize,
) -> c_int {
    let zone_minutes = if zone_text.is_null() { None } else { zone(&unsafe { text(zone_text, zone_length) }) };
    unsafe { *stamp.cast::<Stamp>() = Stamp { year, month, day, hour, minute, second, nanos, zone_minutes } };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIDateTimeGetDate(
    _handle: *mut c_void,
    _error: *mut c_void,
    stamp: *const c_void,
    year: *mut i16,
    month: *mut u8,
    day: *mut u8,
) -> c_int {
    unsafe {
        let stamp = &*stamp.cast::<Stamp>();
        (*year, *month, *day) = (stamp.year, stamp.month, stamp.day);
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIDateTimeGetTime(
    _handle: *mut c_void,
    _error: *mut c_void,
    stamp: *mut c_void,
    hour: *mut u8,
    minute: *mut u8,
    second: *mut u8,
    nanos: *mut u32,
) -> c_int {
    unsafe {
        let stamp = &*stamp.cast::<Stamp>();
        (*hour, *minute, *second, *nanos) = (stamp.hour, stamp.minute, stamp.second, stamp.nanos);
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn OCIDateTimeGetTimeZoneOffset(
    _handle: *mut c_void,
    _error: *mut c_void,
    stamp: *const c_void,
    hours: *mut i8,
    minutes: *mut i8,
) -> c_int {
    unsafe {
        let zone = (*stamp.cast::<Stamp>()).zone_minutes.unwrap_or(ZONE_MINUTES);
        (*hours, *minutes) = ((zone / 60) as i8, (zone % 60) as i8);
    }
    OK
}
