//! Statements and round trips of write-back, a step of a booking at a time.

use slotbridge::domain::{AllotmentMode, Incarnation, OpId, Position, SeriesId, SlotKey};
use slotbridge::legacy::oracle::write::{Body, Settings};
use slotbridge::legacy::sqlite::generate;
use slotbridge::legacy::{Heartbeat, LegacyOp, LegacyWrite, OpReply, OpRequest, PersonKey, Unbacked};

use super::Town;

/// Of one step, by the double, as it receives them; `own` is what the bridge says of itself, commits included.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    pub statements: u64,
    /// That the agency's package sends itself, inside the server.
    pub inner: u64,
    pub commits: u64,
    pub trips: u64,
    pub own: u64,
}

impl Cost {
    fn so_far(town: &Town, writer: &dyn LegacyWrite) -> Cost {
        let executes = town.server.trips("execute");
        Cost {
            statements: executes,
            inner: town.server.counts("%").calls - executes,
            commits: town.server.trips("commit") + town.server.trips("rollback"),
            trips: town.server.trips("%"),
            own: writer.statements(),
        }
    }

    fn since(self, before: Cost) -> Cost {
        Cost {
            statements: self.statements - before.statements,
            inner: self.inner - before.inner,
            commits: self.commits - before.commits,
            trips: self.trips - before.trips,
            own: self.own - before.own,
        }
    }
}

/// Steps of so many bookings in one transaction each, and what the bridge sends besides.
pub struct Costs {
    /// Takes of four units each.
    pub take: Cost,
    pub convert: Cost,
    pub cancel: Cost,
    pub give_back: Cost,
    pub heartbeat: Cost,
    pub agency: Cost,
}

/// `first`: below it all positions and persons are used up.
pub fn measure(town: &Town, body: Body, bookings: usize, first: u64) -> Costs {
    let native = town.native();
    native
        .execute_batch("UPDATE TB_SLOT SET CAPA_CNT = 900, STAT_CD = '1', SERIES_CD = 'covid19-1'")
        .expect("room in every slot");
    let mut select = native.prepare("SELECT SLOT_NO FROM TB_SLOT ORDER BY SLOT_NO LIMIT ?1").expect("slots");
    let slots: Vec<String> =
        select.query_map([bookings as i64], |row| row.get(0)).expect("slots").collect::<Result<_, _>>().expect("slots");
    assert_eq!(slots.len(), bookings);
    drop(select);
    let mut writer = town.writer(Settings { body, ..Settings::default() });
    let mut run = |what: &dyn Fn(usize) -> LegacyOp, step: usize, is_right: fn(&OpReply) -> bool| {
        let ops: Vec<OpRequest> = slots
            .iter()
            .enumerate()
            .map(|(n, slot)| OpRequest {
                id: id(first, bookings, step, n),
                slot: SlotKey::new(slot).expect("a slot key"),
                mode: AllotmentMode::Counter,
                what: what(n),
            })
            .collect();
        let before = Cost::so_far(town, &writer);
        let replies = writer.apply(&ops).expect("a transaction");
        assert!(replies.iter().all(is_right), "{replies:?}");
        Cost::so_far(town, &writer).since(before)
    };
    let series = SeriesId::new("covid19-1").expect("a series");
    let person = |n: usize| PersonKey(generate::person_key(first as u32 + n as u32 + 1).into());
    let convert = |n| LegacyOp::Convert { person: person(n), series: series.clone(), unbacked: Unbacked::Refuse };
    let take = run(&|_| LegacyOp::Take { units: 4 }, 0, |reply| *reply == OpReply::Taken { units: 4 });
    let convert = run(&convert, 1, |reply| matches!(reply, OpReply::Converted { .. }));
    let cancel = run(&|n| LegacyOp::Cancel { convert: id(first, bookings, 1, n) }, 2, |r| *r == OpReply::TurnedBack);
    let back = run(&|_| LegacyOp::Return { units: 4 }, 3, |reply| *reply == OpReply::Returned { units: 4 });
    let before = Cost::so_far(town, &writer);
    writer.heartbeat(Heartbeat { position: 9, unapplied: 1, free_units: 3 }).expect("a heartbeat");
    let first_beat = Cost::so_far(town, &writer).since(before);
    let before = Cost::so_far(town, &writer);
    writer.heartbeat(Heartbeat { position: 9, unapplied: 1, free_units: 3 }).expect("a heartbeat");
    let heartbeat = Cost::so_far(town, &writer).since(before);
    assert!(heartbeat.statements <= first_beat.statements);
    let before = Cost::so_far(town, &writer);
    writer.agency().expect("what the agency says");
    let agency = Cost::so_far(town, &writer).since(before);
    Costs { take, convert, cancel, give_back: back, heartbeat, agency }
}

fn id(first: u64, bookings: usize, step: usize, n: usize) -> OpId {
    OpId { incarnation: Incarnation(0xfeed), position: Position(first * 4 + (step * bookings + n) as u64 + 1) }
}
