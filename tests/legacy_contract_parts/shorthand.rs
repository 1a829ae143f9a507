//! Shorthand for ops, layouts and rows.

use std::sync::Arc;

use slotbridge::domain::{Incarnation, ObjectName, OpId, Position, SeriesId, SlotKey, Value};
use slotbridge::legacy::{Hint, LegacyOp, LegacyRead, PersonKey, Unbacked};
use slotbridge::mapping::Layout;
use slotbridge::mapping::catalogue::{ColumnType, LayoutColumn, Role};

pub fn op_id(position: u64) -> OpId {
    OpId { incarnation: Incarnation(0xfeed), position: Position(position) }
}

pub fn series() -> SeriesId {
    SeriesId::new("covid19-1").unwrap()
}

pub fn convert(person: &PersonKey) -> LegacyOp {
    LegacyOp::Convert { person: person.clone(), series: series(), unbacked: Unbacked::Refuse }
}

pub fn honour(person: &PersonKey) -> LegacyOp {
    LegacyOp::Convert { person: person.clone(), series: series(), unbacked: Unbacked::Honour }
}

pub fn place(person: &PersonKey) -> LegacyOp {
    LegacyOp::Place { person: person.clone(), series: series() }
}

pub fn cancel(position: u64) -> LegacyOp {
    LegacyOp::Cancel { convert: op_id(position) }
}

pub fn layout(object: &str, view: &str, columns: &[(&str, ColumnType, Option<Role>)]) -> Layout {
    Layout {
        object: ObjectName::new(object).unwrap(),
        view: view.to_owned(),
        columns: columns
            .iter()
            .map(|(name, kind, role)| LayoutColumn {
                name: Arc::from(*name),
                kind: *kind,
                role: *role,
                material: false,
            })
            .collect(),
    }
}

pub fn slots() -> Layout {
    use ColumnType::*;
    let columns = [
        ("SLOT_ID", Text, Some(Role::Key)),
        ("CAPACITY", Integer, Some(Role::Capacity)),
        ("BOOKED_CNT", Integer, Some(Role::Counter)),
        ("NATIVE_CNT", Integer, Some(Role::Native)),
        ("ESCROW_UNITS", Integer, Some(Role::EscrowUnits)),
        ("ESCROW_LAST_OP", Text, Some(Role::LastOp)),
        ("STATUS", Text, Some(Role::Status)),
        ("SLOT_DT", Time, Some(Role::Start)),
        ("MEMO", Text, None),
        ("UPD_DT", Time, Some(Role::UpdatedAt)),
    ];
    layout("slot", "SB_SLOT", &columns)
}

pub fn bookings() -> Layout {
    use ColumnType::*;
    let columns = [
        ("RESV_NO", Text, Some(Role::Key)),
        ("SLOT_ID", Text, Some(Role::Slot)),
        ("STATUS", Text, Some(Role::Status)),
        ("OP_ID", Text, Some(Role::Op)),
        ("UPD_DT", Time, Some(Role::UpdatedAt)),
    ];
    layout("reservation", "SB_BOOKING", &columns)
}

pub fn row_of(reader: &mut dyn LegacyRead, slot: &SlotKey) -> Vec<Value> {
    let mut found = Vec::new();
    reader
        .hinted(&slots(), &Hint::Keys(&[slot.as_str()]), &mut |row| {
            found.push(row);
            Ok(())
        })
        .unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// Capacity, counter, native, escrow.
pub fn numbers(row: &[Value]) -> (i64, i64, i64, i64) {
    let n = |at: usize| row[at].as_int().unwrap();
    (n(1), n(2), n(3), n(4))
}
