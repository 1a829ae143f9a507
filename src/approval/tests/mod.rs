mod kit;
mod standing;
