//! `partner`: keys for partners, on the bridge's side; and the reference client, on the partner's.

mod args;
mod bookings;
mod feeds;
mod keys;
mod persons;
mod test;

use clap::Subcommand;

use super::{ConfigFile, Exit, Failed, Out};
use crate::domain::PartnerId;
use crate::partner::{Next, PartnerError};

#[derive(Debug, Subcommand)]
pub enum PartnerCommand {
    /// Make a bearer key for loopback. It is printed once; only its digest is kept. Takes effect at the next start.
    Add {
        #[command(flatten)]
        file: ConfigFile,
        /// Id as in partners.toml.
        partner: PartnerId,
    },
    /// The partners of the mappings and the ids of their bearer keys.
    List {
        #[command(flatten)]
        file: ConfigFile,
    },
    /// As a partner: which feeds there are, how fresh, and why one stands still.
    Feeds(args::Link),
    /// As a partner: follow a feed, or all, into a folder; a repeat takes up where the last one stopped.
    Pull(feeds::PullArgs),
    /// As a partner: a person token for a user who is present and has consented.
    Token(persons::TokenArgs),
    /// As a partner: decide from pulled feeds whether and when somebody may book. Asks nobody.
    Eligible(persons::EligibleArgs),
    /// As a partner: book a slot, a named one or the first that fits.
    Book(bookings::BookArgs),
    /// As a partner: a booking as it is now.
    Status(bookings::BookingArgs),
    /// As a partner: cancel a booking.
    Cancel(bookings::BookingArgs),
    /// As a partner: one round of everything, with the curl of each step. Books and cancels for real.
    Test(test::TestArgs),
}

pub fn partner(command: PartnerCommand, out: &mut Out) -> Result<Exit, Failed> {
    match command {
        PartnerCommand::Add { file, partner } => keys::add(&file, &partner, out),
        PartnerCommand::List { file } => keys::list(&file, out),
        PartnerCommand::Feeds(link) => feeds::feeds(&link, out),
        PartnerCommand::Pull(args) => feeds::pull(&args, out),
        PartnerCommand::Token(args) => persons::token(&args, out),
        PartnerCommand::Eligible(args) => persons::eligible(&args, out),
        PartnerCommand::Book(args) => bookings::book(&args, out),
        PartnerCommand::Status(args) => bookings::status(&args, out),
        PartnerCommand::Cancel(args) => bookings::cancel(&args, out),
        PartnerCommand::Test(args) => test::test(&args, out),
    }
}

/// Code, cause and next step of what failed on the partner's side.
fn failed(error: &PartnerError) -> Failed {
    let (exit, try_) = match (error, error.next()) {
        (PartnerError::NoAnswer { .. }, _) => (Exit::Unreachable, "check the address and that the bridge runs"),
        (PartnerError::File { .. } | PartnerError::Store { .. }, Next::Operator(try_)) => (Exit::Io, try_),
        (PartnerError::Exposed { .. } | PartnerError::Content { .. }, Next::Operator(try_)) => (Exit::Config, try_),
        (PartnerError::Address { .. } | PartnerError::Client { .. }, Next::Operator(try_)) => (Exit::Config, try_),
        (_, Next::Operator(try_) | Next::Stop(try_)) => (Exit::Wrong, try_),
        (_, Next::Again(_)) => (Exit::Wrong, "wait, then run it again"),
    };
    let cause = std::error::Error::source(error);
    let failed = Failed::new(exit, "partner", error, try_).coded(error.code());
    let failed = match cause {
        Some(cause) => failed.because(cause),
        None => failed,
    };
    match error.problem().and_then(|problem| problem.request_id.as_deref()) {
        Some(id) => failed.noting(format!("X-Request-Id {id}")),
        None => failed,
    }
}

/// Runs a conversation with a bridge to its end.
fn run<T>(work: impl Future<Output = Result<T, PartnerError>>) -> Result<T, Failed> {
    crate::app::install_crypto();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::io("no runtime", &error))?;
    runtime.block_on(work).map_err(|error| failed(&error))
}
