use super::errors::OraError;
use crate::wire::Cell;
pub fn call(_s: &mut super::session::Session, _p: &str, _a: &mut [Cell]) -> Result<(), OraError> {
    Err(OraError::new(6550, "line 1, column 7:\nPLS-00201: identifier 'SB_API' must be declared"))
}
