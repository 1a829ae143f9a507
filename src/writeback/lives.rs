//! Lives of the ledger, and the op ids that follow from them.

use crate::domain::{Incarnation, OpId, Position};

/// Lives of the ledger, oldest first: (first position, incarnation). An op keeps the incarnation of its position for
/// ever, so that one asked before a restore is still the same op for the legacy system.
#[derive(Debug, Clone)]
pub struct Lives(Vec<(Position, Incarnation)>);

impl Lives {
    /// `None` without a life that begins at or before position 1.
    pub fn new(mut lives: Vec<(Position, Incarnation)>) -> Option<Lives> {
        lives.sort_by_key(|(from, _)| *from);
        lives.first().is_some_and(|(from, _)| *from <= Position(1)).then_some(Lives(lives))
    }

    pub fn id(&self, position: Position) -> OpId {
        let at = self.0.partition_point(|(from, _)| *from <= position).saturating_sub(1);
        OpId { incarnation: self.0[at].1, position }
    }

    /// Was the op asked by this ledger? An earlier life's position that a later life covers was not: then another
    /// ledger goes on in the earlier life.
    pub fn holds(&self, op: OpId) -> bool {
        self.id(op.position) == op
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_op_belongs_to_the_life_of_its_position_only() {
        let (old, new) = (Incarnation(1), Incarnation(2));
        let lives = Lives::new(vec![(Position(100), new), (Position(1), old)]).unwrap();
        let op = |incarnation, position| OpId { incarnation, position: Position(position) };
        assert!(lives.holds(op(old, 99)) && lives.holds(op(new, 100)));
        assert!(!lives.holds(op(old, 100)) && !lives.holds(op(new, 99)) && !lives.holds(op(Incarnation(3), 5)));
    }
}
