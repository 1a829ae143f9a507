//! The real router behind the real connection loop, on loopback, with doubles for desk, feeds and keys.

mod bad_input;
mod bookings;
mod connections;
mod doubles;
mod feeds;
mod golden;
mod persons;
mod tls;
mod wire;
