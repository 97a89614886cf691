//! What the operating system allows this process.

/// Raises the number of files this process may open to the most it is
/// allowed: a connection is a file, and the usual soft limit of 1,024 is met
/// by a thousand idle callers.
pub(super) fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    if now.current != now.maximum
        && let Err(fault) = setrlimit(Resource::Nofile, wanted)
    {
        tracing::warn!(
            limit = now.current,
            "the limit of open files stays as it is: {fault}"
        );
    }
}
