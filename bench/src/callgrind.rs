//! Reads what callgrind writes and sums it by stage.
//!
//! Costs are attributed to the *source file* a line came from, so code that was
//! inlined counts for the module that wrote it; the standard library's generic
//! code counts for the crate of the function it was inlined into.

use std::collections::HashMap;

/// What was executed between two dumps.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Costs of each (source file, function), calls not included.
    pub costs: HashMap<(String, String), Cost>,
}

/// Counts of one place in the code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Instructions executed.
    pub instructions: u64,
    /// System calls entered, but for reading the clock.
    pub system_calls: u64,
    /// Clock reads. Outside valgrind they don't enter the kernel, and cost
    /// 20 to 40 ns each.
    pub clock_reads: u64,
}

impl Profile {
    /// Reads one dump: the format of
    /// <https://valgrind.org/docs/manual/cl-format.html>.
    pub fn read(text: &str) -> Self {
        let mut profile = Self::default();
        let mut files = Names::default();
        let mut functions = Names::default();
        let (mut file, mut function) = (String::new(), String::new());
        let mut system_calls = None;
        let mut inclusive = false;
        for line in text.lines() {
            if let Some(events) = line.strip_prefix("events: ") {
                system_calls = events.split(' ').position(|event| event == "sysCount");
            } else if let Some(name) = line.strip_prefix("fn=") {
                function = functions.resolve(name);
            } else if let Some(name) = ["fl=", "fi=", "fe="]
                .iter()
                .find_map(|key| line.strip_prefix(key))
            {
                file = files.resolve(name);
            } else if let Some(name) = ["cfi=", "cfl="]
                .iter()
                .find_map(|key| line.strip_prefix(key))
            {
                files.resolve(name);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                functions.resolve(name);
            } else if line.starts_with("calls=") {
                // The line that follows is what the called function cost.
                inclusive = true;
            } else if line
                .starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
            {
                if std::mem::take(&mut inclusive) {
                    continue;
                }
                let count = |at: usize| {
                    line.split(' ')
                        .nth(at + 1)
                        .and_then(|count| count.parse::<u64>().ok())
                };
                let cost = profile
                    .costs
                    .entry((file.clone(), function.clone()))
                    .or_default();
                cost.instructions += count(0).unwrap_or(0);
                let entered = system_calls.and_then(count).unwrap_or(0);
                if function.contains("clock_gettime") {
                    cost.clock_reads += entered;
                } else {
                    cost.system_calls += entered;
                }
            }
        }
        profile
    }

    /// Everything together.
    pub fn total(&self) -> Cost {
        self.costs.values().fold(Cost::default(), |sum, cost| Cost {
            instructions: sum.instructions + cost.instructions,
            system_calls: sum.system_calls + cost.system_calls,
            clock_reads: sum.clock_reads + cost.clock_reads,
        })
    }

    /// Instructions by [`stage`], most first.
    pub fn stages(&self) -> Vec<(String, u64)> {
        let mut sums: HashMap<String, u64> = HashMap::new();
        for ((file, function), cost) in &self.costs {
            *sums.entry(stage(file, function)).or_default() += cost.instructions;
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        sums
    }

    /// Instructions by function, most first.
    pub fn functions(&self) -> Vec<(String, u64)> {
        let mut sums: HashMap<&str, u64> = HashMap::new();
        for ((_, function), cost) in &self.costs {
            *sums.entry(function).or_default() += cost.instructions;
        }
        let mut sums: Vec<_> = sums
            .into_iter()
            .map(|(name, sum)| (name.to_owned(), sum))
            .collect();
        sums.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        sums
    }
}

/// `(7) name` the first time, `(7)` from then on.
#[derive(Debug, Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn resolve(&mut self, text: &str) -> String {
        match text.split_once(") ") {
            Some((id, name)) => {
                self.0.insert(format!("{id})"), name.to_owned());
                name.to_owned()
            }
            None => self.0.get(text).cloned().unwrap_or_else(|| text.to_owned()),
        }
    }
}

/// Which stage of a call code from `file`, found in `function`, belongs to.
pub fn stage(file: &str, function: &str) -> String {
    if let Some(crate_file) = file.split("/registry/src/").nth(1) {
        // index/crate-version/src/…
        let crate_name = crate_file.split('/').nth(1).unwrap_or(crate_file);
        let crate_name = crate_name
            .rsplit_once('-')
            .map_or(crate_name, |(name, _)| name);
        return crate_stage(crate_name, function);
    }
    if file.contains("/rustc/") || file.contains("/library/") {
        return match first_crate(function) {
            // Formatting a number is a function of the number's own.
            "core" | "alloc" | "std" | "" | "usize" | "u64" | "u32" | "u16" | "str" => {
                "std".to_owned()
            }
            "nowait" => nowait_stage(function),
            name => crate_stage(name, function),
        };
    }
    if file == "???" && function.contains("::") {
        // Built without line tables: the function is all there is to go by.
        return match first_crate(function) {
            "nowait" => nowait_stage(function),
            name => crate_stage(name, function),
        };
    }
    if let Some(path) = file.strip_suffix(".rs") {
        let path = path.rsplit_once("src/").map_or(path, |(_, path)| path);
        return format!("nowait {path}");
    }
    libc_stage(function)
}

fn crate_stage(name: &str, function: &str) -> String {
    if name != "hyper" {
        return name.replace('_', "-");
    }
    let has = |words: &[&str]| words.iter().any(|word| function.contains(word));
    match () {
        () if has(&["role::Client", "client::", "dispatch::Client"]) => "hyper client".to_owned(),
        () if has(&["role::Server", "server::", "dispatch::Server"]) => "hyper server".to_owned(),
        () => "hyper shared".to_owned(),
    }
}

fn nowait_stage(function: &str) -> String {
    let path = function.split_once("nowait").map_or("", |(_, path)| path);
    let modules = path
        .split("::")
        .filter(|part| part.starts_with(|first: char| first.is_ascii_lowercase()));
    let modules: Vec<_> = modules
        .take(2)
        .map(|part| part.split(['[', '<']).next().unwrap_or(part))
        .collect();
    format!("nowait {}", modules.join("/"))
}

fn libc_stage(function: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|word| function.contains(word));
    let name = match () {
        () if has(&[
            "malloc",
            "free",
            "calloc",
            "realloc",
            "memalign",
            "unlink_chunk",
        ]) =>
        {
            "alloc (libc)"
        }
        () if has(&[
            "memcpy", "memmove", "memset", "memcmp", "bcmp", "memchr", "strlen",
        ]) =>
        {
            "memcpy, memcmp, memset"
        }
        () if has(&["clock_gettime", "vdso", "time"]) => "clock",
        () if has(&["epoll", "read", "write", "recv", "send", "syscall", "ioctl"]) => {
            "system calls (user side)"
        }
        () if has(&["pthread", "mutex", "lock", "futex"]) => "locks (libc)",
        () => "other",
    };
    name.to_owned()
}

/// The first crate a function's name mentions, past `<`, `&` and the like.
fn first_crate(function: &str) -> &str {
    let from = function
        .find(|first: char| first.is_ascii_alphabetic())
        .unwrap_or(function.len());
    let name = &function[from..];
    let end = name
        .find(|next: char| !next.is_ascii_alphanumeric() && next != '_')
        .unwrap_or(name.len());
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_summed_by_place() {
        let dump = "version: 1\nevents: Ir sysCount sysTime\nfl=(1) /x/src/gateway/relay.rs\nfn=(1) nowait::gateway::relay::run\n\
                    10 100\n+3 20\nfi=(2) /rustc/abc/library/core/src/slice.rs\n7 5\nfe=(1)\ncfi=(3) ./malloc/malloc.c\ncfn=(2) malloc\n\
                    calls=4 100\n* 4000\n12 1 2 900\n\nfl=(3)\nfn=(2)\n100 4000\nfn=(3) clock_gettime@@GLIBC_2.17\n1 4 3 9\ntotals: 4130 5 909\n";
        let profile = Profile::read(dump);
        assert_eq!(
            profile.total(),
            Cost {
                instructions: 4130,
                system_calls: 2,
                clock_reads: 3,
            }
        );
        let stages = [
            ("alloc (libc)", 4000),
            ("nowait gateway/relay", 126),
            ("clock", 4),
        ];
        assert_eq!(
            profile.stages(),
            stages.map(|(name, sum)| (name.to_owned(), sum))
        );
        assert_eq!(profile.functions()[0], ("malloc".to_owned(), 4000));
    }

    #[test]
    fn code_belongs_to_whoever_wrote_it() {
        let registry = "/home/x/.cargo/registry/src/index.crates.io-19/";
        for (file, function, expected) in [
            (
                format!("{registry}httparse-1.10.1/src/lib.rs"),
                "<hyper::proto::h1::role::Server>::parse",
                "httparse",
            ),
            (
                format!("{registry}hyper-1.12.0/src/proto/h1/io.rs"),
                "<Conn<I, B, hyper::proto::h1::role::Client>>::poll",
                "hyper client",
            ),
            (
                format!("{registry}hyper-1.12.0/src/proto/h1/role.rs"),
                "<hyper::proto::h1::role::Server as X>::encode",
                "hyper server",
            ),
            (
                "/rustc/abc/library/core/src/ptr.rs".into(),
                "<nowait::upstream::pool::Pool>::take",
                "nowait upstream/pool",
            ),
            (
                "/rustc/abc/library/alloc/src/vec.rs".into(),
                "<http::header::map::HeaderMap>::insert",
                "http",
            ),
            (
                "/repo/src/gateway.rs".into(),
                "<hyper::server>::poll",
                "nowait gateway",
            ),
            (
                "???".into(),
                "__memcpy_avx_unaligned_erms",
                "memcpy, memcmp, memset",
            ),
        ] {
            assert_eq!(stage(&file, function), expected, "{file} {function}");
        }
    }
}
