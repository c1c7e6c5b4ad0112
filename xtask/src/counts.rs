//! How many tests passed and failed, read from what the test runners print.

use std::ops::AddAssign;

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl Counts {
    /// Sums the summaries in a log.
    ///
    /// Known are cargo test and wasm-bindgen-test ("test result: ok. 3 passed; 0 failed; …"), forge ("Suite result: …",
    /// the same form), and Node's runner ("# pass 3" as TAP, "ℹ pass 3" as spec; a cancelled test has failed).
    pub(crate) fn read(log: &str) -> Self {
        let mut counts = Self::default();
        for line in log.lines() {
            counts += Self::line(line.trim()).unwrap_or_default();
        }
        counts
    }

    fn line(line: &str) -> Option<Self> {
        if let Some(rest) = line.strip_prefix("test result: ").or_else(|| line.strip_prefix("Suite result: ")) {
            let number = |what: &str| {
                rest.split([';', '.']).find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
            };
            return Some(Self { passed: number("passed")?, failed: number("failed")? });
        }
        let (what, number) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?.split_once(' ')?;
        let number = number.parse().ok()?;
        match what {
            "pass" => Some(Self { passed: number, failed: 0 }),
            "fail" | "cancelled" => Some(Self { passed: 0, failed: number }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runners_summary_is_summed() {
        let log = "
running 3 tests
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s
    test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 filtered out; finished in 1.05s
Suite result: ok. 5 passed; 0 failed; 0 skipped; finished in 10.00ms (9.00ms CPU time)
Ran 2 test suites in 20.00ms: 5 tests passed, 0 failed, 0 skipped (5 total tests)
# tests 8
# pass 7
# fail 1
# cancelled 0
ℹ pass 11
ℹ cancelled 1
ℹ duration_ms 12.5
";
        assert_eq!(Counts::read(log), Counts { passed: 3 + 1 + 5 + 7 + 11, failed: 2 + 1 + 1 });
    }

    #[test]
    fn prose_is_no_summary() {
        assert_eq!(Counts::read("# pass the salt\ntest result: unknown\n# 3 passed\nwe passed 3"), Counts::default());
    }
}
