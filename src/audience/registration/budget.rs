//! What all registrations together may take: visitors choose them, and each distinct one takes
//! memory for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Registration, RegistrationError};

/// Bytes that all registrations together may take. The largest takes less than 40 KiB, one without a
/// list less than 16, a usual one of two fields less than 2: as many of those as clients may connect are
/// less than half of this.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// A registration, and its own place in the hub's index: its group with a list of members.
const GROUP: usize = 512;
/// A filter in its pieces, and its set with a list of members.
const FILTER: usize = 512;
/// A field's name, its table in a set, and its entry among the fields that address.
const FIELD: usize = 320;
/// A value, its entry in a table that is two thirds full, and where it stands there.
const VALUE: usize = 72;

/// Counts what registrations take for as long as anybody holds them.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

/// What one registration takes of a [`Budget`]; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// So many bytes at most.
    pub(crate) fn new(limit: usize) -> Self {
        Budget {
            limit,
            used: AtomicUsize::new(0),
        }
    }

    #[cfg(test)]
    /// Bytes that are taken now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts a registration until the last clone of it is dropped; the empty one takes nothing.
    ///
    /// # Errors
    /// [`RegistrationError::NoRoom`] when it would be too much.
    pub(crate) fn take(
        self: &Arc<Self>,
        registration: &Registration,
    ) -> Result<(), RegistrationError> {
        let place = &registration.0.charge;
        if registration.is_empty() || place.get().is_some() {
            return Ok(());
        }
        let bytes = cost(registration);
        let fits = |used: usize| Some(used + bytes).filter(|used| *used <= self.limit);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| RegistrationError::NoRoom)?;
        // Were it counted elsewhere in this moment, this charge would be given back at once.
        let _ = place.set(Charge {
            budget: Arc::clone(self),
            bytes,
        });
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes that a registration takes with its place in the index, as if it shared nothing there.
fn cost(registration: &Registration) -> usize {
    let filters = registration.filters().map(|filter| {
        let values = filter.value_count() * VALUE;
        FILTER + filter.fields().len() * FIELD + values + filter.text_length()
    });
    GROUP + filters.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audience::rule::Rule;

    fn registration(query: &str) -> Registration {
        Registration::from_query(query, &Rule::Open).unwrap()
    }

    #[test]
    fn what_nobody_holds_any_more_is_given_back() {
        let (one, other) = (registration("a=1"), registration("b=2"));
        let bytes = cost(&one);
        let budget = Arc::new(Budget::new(2 * bytes - 1));
        assert_eq!(budget.take(&one), Ok(()));
        let clone = one.clone();
        assert_eq!(budget.take(&clone), Ok(()));
        assert_eq!(budget.used(), bytes);
        assert_eq!(budget.take(&other), Err(RegistrationError::NoRoom));
        drop(one);
        assert_eq!(budget.take(&other), Err(RegistrationError::NoRoom));
        drop(clone);
        assert_eq!(budget.take(&other), Ok(()));
        assert_eq!(budget.used(), bytes);
    }

    #[test]
    fn nothing_takes_nothing() {
        let budget = Arc::new(Budget::new(0));
        assert_eq!(budget.take(&Registration::default()), Ok(()));
        assert_eq!(budget.take(&registration("")), Ok(()));
        assert_eq!(
            budget.take(&registration("a")),
            Err(RegistrationError::NoRoom)
        );
    }

    #[test]
    fn as_many_usual_registrations_as_clients_fit_twice() {
        let usual = registration("school_id=123456&school_class_id=1234567");
        assert!(cost(&usual) * 15_000 * 2 < MAX_BYTES, "{}", cost(&usual));
        let values: Vec<_> = (0..64)
            .map(|value| format!("{:02}={value:055}", value % 16))
            .collect();
        let largest = registration(&values.join("&"));
        assert!(cost(&largest) < 16 << 10, "{}", cost(&largest));
    }
}
