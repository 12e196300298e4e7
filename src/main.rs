//! The `clickferry` command.

use std::process::ExitCode;

/// A plan of thousands of tables is a million small texts, and the system's allocator takes a third of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, which the bindings do not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> ExitCode {
    // Memory that an answer of a server took is given back before the plan needs its own: an eighth less at the peak.
    // SAFETY: the option is one of mimalloc's, and any number of milliseconds is a value of it.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 10) };
    clickferry::cli::run(std::env::args_os())
}

#[cfg(test)]
mod tests {
    use super::PURGE_DELAY;

    #[test]
    fn the_option_that_is_set_is_the_delay() {
        // SAFETY: the option is one of mimalloc's. Nobody has set it in a test; a second is its default.
        let [before, delay, behind] = [PURGE_DELAY - 1, PURGE_DELAY, PURGE_DELAY + 1]
            .map(|option| unsafe { libmimalloc_sys::mi_option_get(option) });
        assert_eq!(delay, 1000, "{before}, {delay}, {behind}");
    }
}
