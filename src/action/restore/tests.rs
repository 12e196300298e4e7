//! Plans of restores from a hand-made world.
