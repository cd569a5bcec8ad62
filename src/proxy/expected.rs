//! What is about to be asked for on each thread that serves: by requests that have been read, and are answered when the thread has read whatever else was
//! there.

use std::cell::RefCell;

use super::handler::Ticket;

/// What is fetched for more displaces what was fetched first. They are asked for without having been told of before.
const MOST: usize = 64;

thread_local! {
    static EXPECTED: RefCell<Vec<Ticket>> = const { RefCell::new(Vec::new()) };
}

/// One that is going to be asked for on this thread.
pub(super) fn add(ticket: Ticket) {
    EXPECTED.with_borrow_mut(|tickets| {
        if tickets.len() < MOST {
            tickets.push(ticket);
        }
    });
}

/// Tells those that were added since the last time, if any.
pub(super) fn all(tell: impl FnOnce(&[Ticket])) {
    EXPECTED.with_borrow_mut(|tickets| {
        if !tickets.is_empty() {
            tell(tickets);
            tickets.clear();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_not_without_end() {
        all(|_| panic!("none was added"));
        for count in [1, 2, MOST as u128, 2 * MOST as u128] {
            (0..count).for_each(|n| add(Ticket(n)));
            let mut told = Vec::new();
            all(|tickets| told.extend_from_slice(tickets));
            assert!(told.iter().copied().eq((0..count).take(MOST).map(Ticket)));
            all(|_| panic!("told before"));
        }
    }
}
