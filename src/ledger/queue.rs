//! Waiting for submissions or for the desk's next deadline, whichever comes first, on a plain thread.
//!
//! A tokio channel has no blocking receive with a time limit; its waker can unpark a thread, which parks with one.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub(super) enum Next<T> {
    One(T),
    /// The time was up.
    Due,
    /// Every sender is gone.
    Closed,
}

/// Takes one item. `left` tells how long may be waited from now (`None`: for ever); it is asked anew after every
/// wake-up, so a spurious one costs nothing.
pub(super) fn next<T>(receiver: &mut Receiver<T>, left: impl Fn() -> Option<Duration>) -> Next<T> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match receiver.poll_recv(&mut context) {
            Poll::Ready(Some(item)) => return Next::One(item),
            Poll::Ready(None) => return Next::Closed,
            Poll::Pending => match left() {
                None => thread::park(),
                Some(left) if left.is_zero() => return Next::Due,
                Some(left) => thread::park_timeout(left),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[test]
    fn what_another_thread_sends_wakes_the_receiver() {
        let (sender, mut receiver) = mpsc::channel(1);
        let sending = thread::spawn(move || {
            for n in 0..100 {
                sender.blocking_send(n).expect("the receiver is there");
            }
        });
        for n in 0..100 {
            assert!(matches!(next(&mut receiver, || None), Next::One(m) if m == n));
        }
        sending.join().expect("the sender does not panic");
        assert!(matches!(next(&mut receiver, || None), Next::Closed));
    }

    #[test]
    fn a_deadline_that_has_passed_is_not_waited_for() {
        let (_sender, mut receiver) = mpsc::channel::<u8>(1);
        assert!(matches!(next(&mut receiver, || Some(Duration::ZERO)), Next::Due));
    }
}
