//! The processor time of this process.

/// The kernel counts in hundredths of a second in all values for programs (`USER_HZ`), whatever its own clock ticks in.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time used, in seconds, over all cores.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ProcessorTime {
    /// In the program.
    pub user_s: f64,
    /// In the kernel, for it.
    pub system_s: f64,
}

impl ProcessorTime {
    /// What this process has used so far, in steps of a hundredth of a second. None if the system does not report it.
    pub fn now() -> Option<ProcessorTime> {
        ProcessorTime::read(&std::fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// From a line as proc(5) describes it: the 14th and the 15th field. The second, in brackets, may hold anything.
    fn read(stat: &str) -> Option<ProcessorTime> {
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace().skip(11);
        let mut seconds = || Some(fields.next()?.parse::<u64>().ok()? as f64 / TICKS_PER_SECOND);
        Some(ProcessorTime { user_s: seconds()?, system_s: seconds()? })
    }

    /// The time used since an earlier value.
    pub fn since(self, before: ProcessorTime) -> ProcessorTime {
        // In whole ticks, to avoid the rounding error of subtracting fractions.
        let of = |now: f64, before: f64| ((now - before).max(0.0) * TICKS_PER_SECOND).round() / TICKS_PER_SECOND;
        ProcessorTime { user_s: of(self.user_s, before.user_s), system_s: of(self.system_s, before.system_s) }
    }

    /// The total.
    pub fn seconds(self) -> f64 {
        self.user_s + self.system_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let line = "7 (a) b (c) R 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 12345 1000 200";
        let found = ProcessorTime::read(line).expect("a line of the kernel's");
        assert_eq!((found.user_s, found.system_s, found.seconds()), (2.5, 0.5, 3.0));
        assert_eq!(found.since(ProcessorTime { user_s: 1.0, system_s: 1.0 }), ProcessorTime { user_s: 1.5, system_s: 0.0 });
        for broken in ["", "7 (a", "7 (a) R 1", "7 (a) R 1 7 7 0 -1 4194304 100 0 0 0 x y"] {
            assert_eq!(ProcessorTime::read(broken), None, "{broken}");
        }
    }
}
