mod hostile;
mod kit;
mod rosters;
mod standing;
