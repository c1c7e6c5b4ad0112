//! A phase of the tests: its log, its time limit, what its runners counted, and the table at the end.

use std::fs::{self, File};
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::counts::Counts;
use crate::exec;
use crate::runner::{Captured, Runner};
use crate::workspace::Workspace;

/// The whole run is meant to take 30 minutes on a cold machine; one program that takes that long alone hangs.
const PROGRAM_LIMIT: Duration = Duration::from_secs(30 * 60);
/// How often a long program shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// Enough to hold a failing assertion and its backtrace.
const TAIL_LINES: usize = 80;
/// Bounds what is read back to find the last line or the tail.
const TAIL_BYTES: u64 = 64 * 1024;

/// One phase while it runs.
pub(crate) struct Phase {
    name: &'static str,
    log_path: PathBuf,
    log: File,
    started: Instant,
    counts: Counts,
    /// For each program.
    limit: Duration,
}

/// One phase when it is over.
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) counts: Counts,
    pub(crate) time: Duration,
}

impl Phase {
    pub(crate) fn start(workspace: &Workspace, name: &'static str) -> Result<Self> {
        let folder = workspace.cache.join("logs");
        fs::create_dir_all(&folder)?;
        let log_path = folder.join(format!("{name}.log"));
        let log = File::options().create(true).truncate(true).read(true).write(true).open(&log_path);
        let log = log.with_context(|| format!("cannot write {}", log_path.display()))?;
        println!("▸ {name}");
        Ok(Self { name, log_path, log, started: Instant::now(), counts: Counts::default(), limit: PROGRAM_LIMIT })
    }

    /// Gives each program of this phase less time than usual.
    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Writes to the log and to the terminal.
    pub(crate) fn say(&mut self, line: &str) {
        println!("  {line}");
        // The terminal has it; a full disk shows itself elsewhere.
        let _ = writeln!(self.log, "{line}");
    }

    /// Counts checks that xtask makes itself.
    pub(crate) fn count(&mut self, counts: Counts) {
        self.counts += counts;
    }

    /// Closes the phase. An error counts as one failure unless the runners have reported theirs.
    pub(crate) fn finish(mut self, result: Result<()>) -> Outcome {
        if let Err(error) = result {
            if self.counts.failed == 0 {
                self.counts.failed = 1;
            }
            println!("{}", self.tail(TAIL_LINES));
            println!("✗ {}: {error:#} (log: {})", self.name, self.log_path.display());
        }
        let outcome = Outcome { name: self.name, counts: self.counts, time: self.started.elapsed() };
        println!("  {} passed, {} failed, {} s", outcome.counts.passed, outcome.counts.failed, outcome.time.as_secs());
        outcome
    }

    fn tail(&self, lines: usize) -> String {
        let text = self.read_from(self.length().saturating_sub(TAIL_BYTES)).unwrap_or_default();
        let all: Vec<_> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn length(&self) -> u64 {
        self.log.metadata().map_or(0, |meta| meta.len())
    }

    fn read_from(&self, offset: u64) -> Result<String> {
        let mut file = File::open(&self.log_path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn wait(&mut self, command: &mut Command) -> Result<ExitStatus> {
        let shown = exec::show(command);
        writeln!(self.log, "$ {shown}")?;
        command.env("NO_COLOR", "1").env("CARGO_TERM_COLOR", "never").env_remove("FORCE_COLOR");
        command.stdin(Stdio::null()).stderr(self.log.try_clone()?);
        // At a terminal Ctrl-C must reach the children, so they stay in our group; elsewhere a group of their own lets
        // us end all of them when one hangs.
        let own_group = !std::io::stdin().is_terminal();
        #[cfg(unix)]
        if own_group {
            std::os::unix::process::CommandExt::process_group(command, 0);
        }
        let mut child = command.spawn().with_context(|| format!("cannot start {shown}"))?;
        let started = Instant::now();
        let mut beats = 1;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if started.elapsed() > self.limit {
                end(&mut child, own_group);
                bail!("{shown} took more than {} s and was ended", self.limit.as_secs());
            }
            if started.elapsed() > HEARTBEAT * beats {
                beats += 1;
                println!("  {} s: {}", self.started.elapsed().as_secs(), self.tail(1).trim());
            }
            thread::sleep(POLL);
        }
    }
}

impl Runner for Phase {
    fn run(&mut self, command: &mut Command) -> Result<()> {
        let before = self.length();
        command.stdout(self.log.try_clone()?);
        let status = self.wait(command)?;
        // Children append behind our own position.
        self.log.seek(SeekFrom::End(0))?;
        self.counts += Counts::read(&self.read_from(before)?);
        if !status.success() {
            bail!("{} ended with {status}", exec::show(command));
        }
        Ok(())
    }

    fn capture(&mut self, command: &mut Command) -> Result<Captured> {
        let path = self.log_path.with_extension("stdout");
        command.stdout(File::create(&path)?);
        let status = self.wait(command)?;
        self.log.seek(SeekFrom::End(0))?;
        let stdout = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        fs::remove_file(&path)?;
        Ok(Captured { success: status.success(), stdout })
    }
}

fn end(child: &mut Child, own_group: bool) {
    if own_group {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status();
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The table and the closing line; returns whether everything passed.
pub(crate) fn summary(outcomes: &[Outcome]) -> bool {
    let mut total = Counts::default();
    let mut time = Duration::ZERO;
    println!("\n{:<12} {:>8} {:>8} {:>8}", "phase", "seconds", "passed", "failed");
    for Outcome { name, counts, time: took } in outcomes {
        println!("{name:<12} {:>8.1} {:>8} {:>8}", took.as_secs_f64(), counts.passed, counts.failed);
        total += *counts;
        time += *took;
    }
    println!("{:<12} {:>8.1} {:>8} {:>8}\n", "total", time.as_secs_f64(), total.passed, total.failed);
    println!("{} passed, {} failed", total.passed, total.failed);
    total.failed == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_phase(name: &'static str, body: impl FnOnce(&mut Phase) -> Result<()>) -> (Counts, bool) {
        let cache = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(&cache).unwrap();
        let mut phase = Phase::start(&Workspace { root: cache.clone(), cache: cache.clone() }, name).unwrap();
        let result = body(&mut phase);
        let good = result.is_ok();
        let outcome = phase.finish(result);
        fs::remove_dir_all(cache).unwrap();
        (outcome.counts, good)
    }

    #[test]
    fn what_runners_print_is_counted_once() {
        let (counts, good) = with_phase("counted", |phase| {
            phase.say("first");
            phase.run(Command::new("printf").arg("test result: ok. 2 passed; 0 failed; 0 ignored\n"))?;
            phase.run(Command::new("printf").arg("# pass 3\n# fail 0\n"))?;
            assert_eq!(phase.capture(Command::new("printf").arg("# pass 9\n"))?.stdout, "# pass 9\n");
            Ok(())
        });
        assert!(good);
        assert_eq!(counts, Counts { passed: 5, failed: 0 });
    }

    #[test]
    fn a_program_that_fails_without_counting_is_one_failure() {
        let (counts, good) = with_phase("failing", |phase| phase.run(&mut Command::new("false")));
        assert!(!good);
        assert_eq!(counts, Counts { passed: 0, failed: 1 });
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let started = Instant::now();
        let (counts, good) = with_phase("hanging", |phase| {
            phase.set_limit(Duration::from_millis(100));
            phase.run(Command::new("sleep").arg("60"))
        });
        assert!(!good && started.elapsed() < Duration::from_secs(30));
        assert_eq!(counts, Counts { passed: 0, failed: 1 });
    }

    #[test]
    fn the_summary_fails_with_any_failure() {
        let outcome = |failed| Outcome { name: "a", counts: Counts { passed: 1, failed }, time: Duration::ZERO };
        assert!(summary(&[outcome(0)]));
        assert!(!summary(&[outcome(0), outcome(1)]));
    }
}
