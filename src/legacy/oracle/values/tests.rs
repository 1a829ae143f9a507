use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_seoul(text).unwrap()
}

fn read(text: &str, nanosecond: i64) -> Wall {
    let n = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    Wall {
        year: n(0..4),
        month: n(5..7),
        day: n(8..10),
        hour: n(11..13),
        minute: n(14..16),
        second: n(17..19),
        nanosecond,
    }
}

#[test]
fn a_wall_clock_reading_is_korean_time() {
    for text in ["1957-02-28 23:59:59", "2024-02-29 00:00:00", "2026-11-22 20:00:00", "0001-01-01 00:00:00"] {
        assert_eq!(read(text, 0).in_seoul(), Some(at(text)), "{text}");
    }
    assert_eq!(read("2026-11-22 20:00:00", 250_999_999).in_seoul(), Some(at("2026-11-22 20:00:00").plus_ms(250)));
    assert_eq!(read("2026-11-22 11:00:00", 0).at_offset(0, 0), Some(at("2026-11-22 20:00:00")));
    assert_eq!(read("2026-11-22 16:30:00", 0).at_offset(5, 30), Some(at("2026-11-22 20:00:00")));
    for text in ["2026-02-30 00:00:00", "2026-13-01 00:00:00", "0000-01-01 00:00:00", "2026-01-01 24:00:00"] {
        assert_eq!(read(text, 0).in_seoul(), None, "{text}");
    }
}

#[test]
fn a_date_bind_is_the_same_second_in_seoul() {
    for text in ["1957-02-28 23:59:59", "2024-02-29 00:00:00", "2026-11-22 20:00:00"] {
        let told = wall_of(at(text).plus_ms(999)).unwrap();
        assert_eq!(told.to_string().get(..19), Some(text));
        assert_eq!(told.nanosecond(), 0);
    }
}

#[test]
fn a_cell_becomes_what_its_column_declares() {
    use ColumnType::{Decimal, Integer, Text, Time};
    let number = |text: &str| Cell::Number(text.into());
    let text = |text: &str| Cell::Text(text.into());
    let digits = "-12345678901234567890123456789012345.678";
    let table = [
        (text("가"), Text, Some(Value::text("가"))),
        (text(""), Text, Some(Value::Null)),
        (text(""), Integer, Some(Value::Null)),
        (Cell::Null, Time, Some(Value::Null)),
        (number(digits), Decimal, Some(Value::Decimal(digits.into()))),
        (number(digits), Integer, None),
        (number("37"), Integer, Some(Value::Int(37))),
        (number("37.5"), Integer, None),
        (number("37.5665"), Text, Some(Value::text("37.5665"))),
        (Cell::Int(-3), Integer, Some(Value::Int(-3))),
        (Cell::Int(3), Decimal, Some(Value::Decimal("3".into()))),
        (Cell::Int(3), Time, None),
        (Cell::Float(1.5), Decimal, Some(Value::Decimal("1.5".into()))),
        (Cell::Float(f64::NAN), Decimal, None),
        (text("1e5"), Decimal, None),
        (text("inf"), Decimal, None),
        (text("2026-11-22 20:00:00"), Time, Some(Value::Time(at("2026-11-22 20:00:00")))),
        (text("soon"), Time, None),
        (Cell::Time(Timestamp(5)), Time, Some(Value::Time(Timestamp(5)))),
        (Cell::Time(Timestamp(5)), Text, None),
        (Cell::Bytes(vec![1]), Text, None),
        (Cell::Other, Text, None),
    ];
    for (cell, kind, value) in table {
        assert_eq!(cell.clone().value(kind), value, "{cell:?} as {kind:?}");
    }
}

#[test]
fn raw_bytes_and_padding_are_taken_off() {
    let bytes = super::super::charset::encode_cp949("똠방 ").unwrap();
    assert_eq!(Cell::Bytes(bytes).decoded().map(Cell::unpadded), Some(Cell::Text("똠방".into())));
    assert_eq!(Cell::Bytes(vec![0xff]).decoded(), None);
    assert_eq!(Cell::Text(" a".into()).unpadded(), Cell::Text(" a".into()));
}

#[test]
fn a_text_bind_keeps_its_cursor_over_a_range_of_lengths() {
    assert_eq!([0, 1, 32, 33, 500, 501, 1_000, 1_001].map(stepped), [32, 32, 32, 500, 500, 1_000, 1_000, 1_001]);
}
