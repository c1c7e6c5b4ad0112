//! The README's commands, executed in its order as a newcomer types them, so that they cannot rot.
//!
//! Every line of a block marked `sh` is one step, and a line that no rule here knows is a failure. Three kinds are
//! replaced, because the same run has done their work: the release build and the longer PATH stand for the programs in
//! `dist/bin` and the page in `web/dist`, built with the tests' profile; `cargo xtask …` lines are other phases, hence
//! only their existence is checked. What a reader fills in is filled in here: the join link, `JOB` and `ADDRESS`.
//! Everything else runs through `sh` as it stands, in a folder that shows the checkout's files and takes what is written.

mod place;
mod step;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use self::place::{Background, Place};
use self::step::{Step, steps};
use crate::counts::Counts;
use crate::demo;
use crate::phases::Phase;
use crate::runner::Runner;
use crate::setup::Tools;
use crate::workspace::Workspace;

/// A relay with a local chain is up in seconds; a machine that compiles beside it takes longer.
const START_LIMIT: Duration = Duration::from_secs(90);
/// The README's job takes one native worker half a minute; a job that nobody may finish waits for ever.
const JOB_LIMIT: Duration = Duration::from_secs(6 * 60);
/// Rewards follow the last receipt by one epoch, of [`EPOCH_SECONDS`] here.
const REWARDS_LIMIT: Duration = Duration::from_secs(90);
const EPOCH_SECONDS: &str = "2";
const POLL: Duration = Duration::from_millis(250);
/// What the README's reader puts in place of `ADDRESS`: nobody's, and new on every chain.
const ADDRESS: &str = "0x5a0a15a0a15a0a15a0a15a0a15a0a15a0a15a0a1";

pub(crate) fn run(workspace: &Workspace, tools: &Tools, phase: &mut Phase) -> Result<()> {
    let readme = fs::read_to_string(workspace.root.join("README.md"))?;
    let steps = steps(&readme)?;
    let programs = demo::programs(workspace, phase)?;
    demo::page(workspace, tools, phase)?;
    phase.set_limit(JOB_LIMIT);
    let mut reader = Reader { place: Place::new(workspace, &programs)?, running: Vec::new(), link: None, job: None };
    let result = reader.follow(&steps, phase);
    if result.is_err() {
        for program in &reader.running {
            phase.say(&format!("{} printed:\n{}", program.line, program.printed()));
        }
    }
    let stopped = reader.stop();
    result.and(stopped)
}

/// Somebody who follows the README, and what they have learnt on the way.
struct Reader {
    place: Place,
    running: Vec<Background>,
    link: Option<String>,
    job: Option<String>,
}

impl Reader {
    fn follow(&mut self, steps: &[Step], phase: &mut Phase) -> Result<()> {
        for step in steps {
            let line = self.filled_in(step.line())?;
            self.take(step, &line, phase).with_context(|| format!("README.md: {line}"))?;
            phase.say(&format!("ok: {line}"));
            phase.count(Counts { passed: 1, failed: 0 });
        }
        Ok(())
    }

    fn take(&mut self, step: &Step, line: &str, phase: &mut Phase) -> Result<()> {
        match step {
            Step::Elsewhere(_) => Ok(()),
            Step::Up(_) => self.up(line),
            Step::Work(_) => self.start(line, &["connected to relay"]).map(drop),
            Step::Run(_) => self.run(line, phase),
        }
    }

    /// The line with what its reader would put in place of the README's placeholders.
    fn filled_in(&self, line: &str) -> Result<String> {
        let words = line.split(' ').map(|word| match word {
            "JOB" => self.job.clone().context("the README fetches a job before it submits one"),
            "ADDRESS" => Ok(ADDRESS.to_owned()),
            _ if word.contains("/#join=") => {
                let link = self.link.as_ref().context("the README joins a swarm before it starts one")?;
                Ok(format!("'{link}'"))
            }
            _ => Ok(word.to_owned()),
        });
        Ok(words.collect::<Result<Vec<_>>>()?.join(" "))
    }

    /// Starts what stays, and waits until it has printed all of `signs`.
    fn start(&mut self, line: &str, signs: &[&str]) -> Result<String> {
        let program = self.place.start(line, self.running.len())?;
        self.running.push(program);
        let program = self.running.last_mut().expect("just pushed");
        let started = Instant::now();
        loop {
            let printed = program.printed();
            if signs.iter().all(|sign| printed.contains(sign)) {
                return Ok(printed);
            }
            ensure!(program.is_running()?, "ended before it printed {signs:?}");
            ensure!(started.elapsed() < START_LIMIT, "did not print {signs:?} within {} s", START_LIMIT.as_secs());
            thread::sleep(POLL);
        }
    }

    fn up(&mut self, line: &str) -> Result<()> {
        // The local chain starts a moment after the relay, and a payout address needs it; a reader is slower than that.
        let printed = self.start(line, &["/#join=", "epochs are posted to the chain"])?;
        let link = join_link(&printed).context("no join link")?;
        self.place.relay_url = link.split_once("/#").map(|(url, _)| url.to_owned());
        self.link = Some(link);
        Ok(())
    }

    fn run(&mut self, line: &str, phase: &mut Phase) -> Result<()> {
        if line.contains("rewards ") {
            self.await_rewards()?;
        }
        let ran = phase.capture(&mut self.place.shell(line))?;
        phase.say(&ran.stdout);
        ensure!(ran.success, "failed");
        if let Some(rest) = ran.stdout.lines().find_map(|line| line.strip_prefix("job ")) {
            self.job = rest.split(' ').next().map(str::to_owned);
        }
        if line.contains("job submit") {
            ensure!(ran.stdout.lines().any(|line| line.starts_with("finished: ")), "the job did not finish");
        }
        if let Some((_, file)) = line.split_once(" -o ") {
            let bytes = self.place.written(file).metadata().with_context(|| format!("{file} was not written"))?.len();
            ensure!(bytes > 0, "{file} is empty");
        }
        if line.contains("rewards claim") {
            let paid = ran.stdout.lines().find(|line| names_address(line)).context("nothing for ADDRESS")?;
            ensure!(!paid.contains("paid 0 SHOAL now"), "nothing was paid");
        }
        Ok(())
    }

    /// Waits for the epoch that has the worker's receipts, as a reader does by looking again.
    fn await_rewards(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            let shown = self.place.shell("shoal rewards show").output()?;
            if names_address(&String::from_utf8_lossy(&shown.stdout)) {
                return Ok(());
            }
            if started.elapsed() > REWARDS_LIMIT {
                bail!("no rewards within {} s; {}", REWARDS_LIMIT.as_secs(), String::from_utf8_lossy(&shown.stderr));
            }
            thread::sleep(POLL);
        }
    }

    /// Ends what still runs, the newest first, and forgets what was written.
    fn stop(mut self) -> Result<()> {
        while let Some(program) = self.running.pop() {
            program.stop()?;
        }
        self.place.remove()
    }
}

/// Addresses are printed with the letter case that is their checksum.
fn names_address(printed: &str) -> bool {
    printed.to_ascii_lowercase().contains(ADDRESS)
}

fn join_link(printed: &str) -> Option<String> {
    let word = printed.split_whitespace().find(|word| word.starts_with("http") && word.contains("/#join="))?;
    Some(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_the_first_word_that_joins() {
        let printed = "relay 01 is up\n\n  work in a browser tab:  http://127.0.0.1:1/#join=abc\n  natively: shoal work --join 'http://127.0.0.1:1/#join=abc'\n";
        assert_eq!(join_link(printed).as_deref(), Some("http://127.0.0.1:1/#join=abc"));
        assert_eq!(join_link("relay 01 is up at http://127.0.0.1:1/"), None);
    }
}
