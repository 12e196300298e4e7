//! Plans of backups from a hand-made world.
