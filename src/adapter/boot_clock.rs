//! How long ago something was, also where the machine slept in between.
//!
//! `std::time::Instant` is CLOCK_MONOTONIC, which stands still while a laptop or a virtual machine is suspended: a lock
//! that was proved before would look as fresh after an hour of sleep. CLOCK_BOOTTIME goes on. Where a hypervisor stops
//! that, too, the wall clock is put right afterwards and tells.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// A moment, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    boot: Duration,
    wall: SystemTime,
}

/// Tells moments and their age.
#[derive(Clone)]
pub struct BootClock(Arc<dyn Fn() -> Moment + Send + Sync>);

impl Default for BootClock {
    fn default() -> Self {
        Self(Arc::new(|| {
            let now = clock_gettime(ClockId::Boottime);
            let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
            let boot = Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default());
            Moment { boot, wall: SystemTime::now() }
        }))
    }
}

impl BootClock {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Moment {
        (self.0)()
    }

    /// The longest time that may have gone by since a moment: for whoever must not believe too long in what he knows.
    /// A wall clock that is set forward makes it longer, which the next proof heals; one that is set back counts for
    /// nothing.
    #[must_use]
    pub fn age(&self, moment: &Moment) -> Duration {
        let now = self.now();
        let wall = now.wall.duration_since(moment.wall).unwrap_or_default();
        now.boot.saturating_sub(moment.boot).max(wall)
    }

    /// The time since a moment on the clock that nobody sets: for whoever waits for somebody else's sign of life.
    #[must_use]
    pub fn waited(&self, moment: &Moment) -> Duration {
        self.now().boot.saturating_sub(moment.boot)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A clock that is moved by hand.
    #[derive(Clone)]
    pub struct ByHand(Arc<Mutex<Moment>>);

    impl ByHand {
        pub fn new() -> Self {
            Self(Arc::new(Mutex::new(Moment { boot: Duration::ZERO, wall: SystemTime::UNIX_EPOCH })))
        }

        pub fn clock(&self) -> BootClock {
            let moment = Arc::clone(&self.0);
            BootClock(Arc::new(move || *moment.lock().unwrap()))
        }

        /// The machine was asleep: CLOCK_MONOTONIC stood still, these went on.
        pub fn sleeps(&self, time: Duration) {
            let mut moment = self.0.lock().unwrap();
            moment.boot += time;
            moment.wall += time;
        }

        /// Somebody sets the wall clock, or a hypervisor stopped the whole machine.
        pub fn wall_jumps(&self, seconds: i64) {
            let mut moment = self.0.lock().unwrap();
            let by = Duration::from_secs(seconds.unsigned_abs());
            moment.wall = if seconds < 0 { moment.wall - by } else { moment.wall + by };
        }
    }

    #[test]
    fn sleep_counts_and_so_does_a_wall_clock_that_runs_ahead() {
        let hand = ByHand::new();
        let clock = hand.clock();
        let then = clock.now();
        hand.sleeps(Duration::from_secs(3600));
        assert_eq!(clock.age(&then), Duration::from_secs(3600));
        assert_eq!(clock.waited(&then), Duration::from_secs(3600));
        let then = clock.now();
        hand.wall_jumps(60);
        assert_eq!((clock.age(&then), clock.waited(&then)), (Duration::from_secs(60), Duration::ZERO));
        let then = clock.now();
        hand.wall_jumps(-600);
        hand.sleeps(Duration::from_secs(2));
        assert_eq!((clock.age(&then), clock.waited(&then)), (Duration::from_secs(2), Duration::from_secs(2)));
    }

    #[test]
    fn the_clock_of_the_system_goes_on() {
        let clock = BootClock::default();
        let then = clock.now();
        std::thread::sleep(Duration::from_millis(20));
        assert!(clock.age(&then) >= Duration::from_millis(20));
    }
}
