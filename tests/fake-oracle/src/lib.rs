//! The client library of the double.
