//! What a crash leaves behind: nothing with keys in it.
//!
//! Owns the limit on core files, and on Linux the mark that a process is not to be dumped at all. Knows nothing of what is
//! secret: a core file holds the environment and everything in memory.
//!
//! The subtle thing: on Linux the limit is not for cores that go to a program instead of a file (`core(5)`, "Piping core dumps
//! to a program"), which most distributions have set up. The mark is for both. It also keeps other processes of the same
//! user from reading this one's memory and environment; the numbers of `/proc/PID/status` and `limits` stay readable.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Forbids core files of this process, and of what it would start. Never fails: where it is not allowed, the program works on,
/// and [`allowed`] tells.
pub(crate) fn forbid() {
    // The hard limit too, so that nothing here can raise it again. The sandbox of a service may refuse the call.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// How large a core file may be in bytes, `u64::MAX` for any size; nothing where there can be none.
pub(crate) fn allowed() -> Option<u64> {
    let limit = getrlimit(Resource::Core).current.unwrap_or(u64::MAX);
    (limit > 0).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_file_nor_a_program_gets_a_core() {
        // This process of tests keeps it: nothing here needs its cores.
        forbid();
        assert_eq!(allowed(), None);
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0), "it could be raised again");
        #[cfg(target_os = "linux")]
        assert_eq!(
            rustix::process::dumpable_behavior(),
            Ok(rustix::process::DumpableBehavior::NotDumpable),
            "a program that takes cores would get this one"
        );
    }
}
