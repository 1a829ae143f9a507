//! What the demonstration's officers signed over the shipped mappings. Written by tests/demo_approvals.rs.

/// Path below `mappings/` and content.
pub const APPROVALS: &[(&str, &str)] = &[];
