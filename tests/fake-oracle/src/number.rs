//! OCINumber: 22 bytes, length, exponent to base 100, mantissa to base 100 (excess one; complemented when negative).

/// Decimal text, as `to_string` of integers and floats writes it, to an OCINumber. `None`: no number, or out of range.
pub fn encode(text: &str) -> Option<[u8; 22]> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b.wrapping_sub(b'0')).collect();
    if digits.is_empty() || digits.iter().any(|d| *d > 9) {
        return None;
    }
    let mut point = whole.len() as i32 + exponent;
    let leading = digits.iter().take_while(|d| **d == 0).count();
    digits.drain(..leading);
    point -= leading as i32;
    while digits.last() == Some(&0) {
        digits.pop();
    }
    if point.rem_euclid(2) == 1 {
        digits.insert(0, 0);
        point += 1;
    }
    if digits.len() % 2 == 1 {
        digits.push(0);
    }
    let pairs: Vec<u8> = digits.chunks(2).map(|pair| pair[0] * 10 + pair[1]).collect();
    assemble(negative, &pairs, point / 2 - 1)
}

/// The same for an integer, without text: most cells are counts and keys.
pub fn encode_int(value: i64) -> [u8; 22] {
    let mut rest = value.unsigned_abs();
    let mut pairs = [0u8; 10];
    let mut first = pairs.len();
    while rest > 0 {
        first -= 1;
        pairs[first] = (rest % 100) as u8;
        rest /= 100;
    }
    let exponent = (pairs.len() - first) as i32 - 1;
    let mut last = pairs.len();
    while last > first && pairs[last - 1] == 0 {
        last -= 1;
    }
    assemble(value < 0, &pairs[first..last], exponent).expect("19 digits are in range")
}

fn assemble(negative: bool, pairs: &[u8], exponent: i32) -> Option<[u8; 22]> {
    let mut out = [0u8; 22];
    if pairs.is_empty() {
        out[..2].copy_from_slice(&[1, 0x80]);
        return Some(out);
    }
    if !(-65..=62).contains(&exponent) {
        return None;
    }
    let pairs = &pairs[..pairs.len().min(20)];
    let byte = (193 + exponent) as u8;
    out[1] = if negative { !byte } else { byte };
    for (to, pair) in out[2..].iter_mut().zip(pairs) {
        *to = if negative { 101 - pair } else { pair + 1 };
    }
    let mut length = pairs.len();
    if negative && length < 20 {
        out[2 + length] = 102;
        length += 1;
    }
    out[0] = length as u8 + 1;
    Some(out)
}

/// Plain decimal text without exponent, trailing zeros or a leading `+`.
pub fn decode(bytes: &[u8]) -> String {
    let mut length = usize::from(bytes[0]).saturating_sub(1).min(20);
    if length == 0 {
        return "0".to_owned();
    }
    let negative = bytes[1] & 0x80 == 0;
    let exponent = i32::from(if negative { !bytes[1] } else { bytes[1] }) - 193;
    let mantissa = &bytes[2..2 + length];
    if negative && mantissa[length - 1] == 102 {
        length -= 1;
    }
    let pair = |b: &u8| if negative { 101u8.wrapping_sub(*b) } else { b.wrapping_sub(1) };
    let digits: String = mantissa[..length].iter().map(|b| format!("{:02}", pair(b))).collect();
    let point = (exponent + 1) * 2;
    let text = if point <= 0 {
        format!("0.{}{digits}", "0".repeat(-point as usize))
    } else if point as usize >= digits.len() {
        format!("{digits}{}", "0".repeat(point as usize - digits.len()))
    } else {
        format!("{}.{}", &digits[..point as usize], &digits[point as usize..])
    };
    let text = text.trim_start_matches('0');
    let text = if text.is_empty() || text.starts_with('.') { format!("0{text}") } else { text.to_owned() };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if negative { format!("-{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_38_digits_survives() {
        for text in [
            "0",
            "1",
            "-1",
            "10",
            "100",
            "-100",
            "99999999999999999999999999999999999999",
            "-12345678901234567890.5",
            "0.000123",
            "-0.5",
            "1234567890123456789012345678.0123456789",
        ] {
            assert_eq!(decode(&encode(text).expect("a number")), text, "{text}");
        }
        assert_eq!(decode(&encode("1e3").expect("a number")), "1000");
        for text in ["", "-", "1x", "NaN", "1e200"] {
            assert!(encode(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_integer_is_encoded_as_its_text_is() {
        for value in [0, 1, -1, 9, 10, 99, 100, -100, 12_345, 1_000_000, i64::MAX, i64::MIN] {
            assert_eq!(Some(encode_int(value)), encode(&value.to_string()), "{value}");
        }
    }
}
