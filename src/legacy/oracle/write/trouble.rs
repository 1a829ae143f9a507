//! Why an op or a transaction ends without an answer.

use crate::legacy::oracle::error::Failure;
use crate::legacy::{LegacyError, LegacyErrorKind};

/// A failure of the server keeps its code until it is known whether an op answers it.
#[derive(Debug)]
pub(super) enum Trouble {
    Server(Failure),
    Own(LegacyError),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Server(failure)
    }
}

impl From<Trouble> for LegacyError {
    fn from(trouble: Trouble) -> LegacyError {
        match trouble {
            Trouble::Server(failure) => failure.into(),
            Trouble::Own(error) => error,
        }
    }
}

/// A contradiction: nothing is repeated before a person has looked.
pub(super) fn halt(message: impl Into<String>) -> Trouble {
    Trouble::Own(LegacyError::new(LegacyErrorKind::Halt, message))
}

/// The agency or its DBA must act.
pub(super) fn operator(message: &str) -> Trouble {
    Trouble::Own(LegacyError::new(LegacyErrorKind::Operator, message))
}

/// A column of the interface schema does not hold what it is declared to.
pub(super) fn schema(message: &str) -> Trouble {
    Trouble::Own(LegacyError::new(LegacyErrorKind::Schema, message))
}
