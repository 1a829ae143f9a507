//! What a person says about ops that were set aside.

use std::sync::{Arc, Mutex};

use crate::domain::Position;
use crate::legacy::OpReply;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// What was in the way is mended: the op runs again.
    Retry { op: Position },
    /// The op never runs again: this is what became of it, as `SB_APPLIED` or the person who looked says.
    Settle { op: Position, reply: OpReply },
}

/// Orders that wait for the worker's next turn; at most `ORDERS_MAX`.
#[derive(Debug, Clone, Default)]
pub struct Orders(Arc<Mutex<Vec<Order>>>);

/// A person names ops one by one, or a screenful at once.
pub const ORDERS_MAX: usize = 1_000;

impl Orders {
    /// False: too many wait already.
    pub fn give(&self, order: Order) -> bool {
        let mut orders = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if orders.len() >= ORDERS_MAX {
            return false;
        }
        orders.push(order);
        true
    }

    pub(super) fn take(&self) -> Vec<Order> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_bounded() {
        let orders = Orders::default();
        let given = (0..=ORDERS_MAX as u64).filter(|op| orders.give(Order::Retry { op: Position(*op) })).count();
        assert_eq!(given, ORDERS_MAX);
        assert_eq!((orders.take().len(), orders.take().len()), (ORDERS_MAX, 0));
    }
}
