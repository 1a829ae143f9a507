//! What the service manager is told. Without one (no `NOTIFY_SOCKET`) nothing is.

use std::time::Duration;

use sd_notify::NotifyState;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// With the time, as `Type=notify-reload` wants it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager is not told of the reload"),
    }
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often it wants to hear that the process lives; `None`: not at all.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}
