//! The real router behind the real connection loop, on loopback, with doubles for desk, feeds and keys.

mod bad_input;
mod bookings;
mod connections;
mod core;
mod doubles;
mod feeds;
mod golden;
mod held;
mod persons;
mod tls;
mod wire;
