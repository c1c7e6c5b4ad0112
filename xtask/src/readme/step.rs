//! The commands of the README and what each of them is.

use anyhow::{Context, Result, ensure};

use crate::{COMMANDS, demo};

/// One line of a block marked `sh`.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Done by this run in another way; only checked.
    Elsewhere(String),
    /// Starts the swarm and stays.
    Up(String),
    /// Works and stays.
    Work(String),
    /// Runs to its end.
    Run(String),
}

impl Step {
    pub(super) fn line(&self) -> &str {
        match self {
            Self::Elsewhere(line) | Self::Up(line) | Self::Work(line) | Self::Run(line) => line,
        }
    }

    fn parse(line: &str) -> Result<Self> {
        let words: Vec<_> = line.split_whitespace().collect();
        let line = line.to_owned();
        match *words {
            ["cargo", "xtask", name, ..] => {
                ensure!(COMMANDS.iter().any(|(known, _)| *known == name), "xtask has no command {name}");
                Ok(Self::Elsewhere(line))
            }
            ["cargo", "build", "--release", ref selected @ ..] => {
                let packages: Vec<_> = selected.iter().copied().filter(|word| *word != "-p").collect();
                ensure!(packages == demo::PROGRAMS, "the programs are {}", demo::PROGRAMS.join(" and "));
                Ok(Self::Elsewhere(line))
            }
            // Where `cargo build --release` puts them; the phase's PATH begins with the programs it has built.
            ["export", r#"PATH="$PWD/target/release:$PATH""#] => Ok(Self::Elsewhere(line)),
            ["shoal", "up", ..] => Ok(Self::Up(line)),
            ["shoal", "work", ..] => Ok(Self::Work(line)),
            ["shoal", ..] => Ok(Self::Run(line)),
            _ => anyhow::bail!("no rule of xtask says how to check it"),
        }
    }
}

/// All commands, in their order.
pub(super) fn steps(readme: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut in_block = false;
    for (index, line) in readme.lines().enumerate() {
        match line.trim() {
            "```sh" => in_block = true,
            "```" => in_block = false,
            line if in_block && !line.is_empty() && !line.starts_with('#') => {
                steps.push(Step::parse(line).with_context(|| format!("README.md:{}: {line}", index + 1))?);
            }
            _ => {}
        }
    }
    ensure!(steps.iter().any(|step| matches!(step, Step::Up(_))), "README.md starts no swarm");
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(readme: &str) -> Vec<Step> {
        steps(readme).unwrap()
    }

    #[test]
    fn only_blocks_marked_sh_are_commands() {
        let readme = "```sh\ncargo xtask demo\n# a comment\n\nshoal up\n```\nshoal prose\n```toml\nshoal = 1\n```\n```sh\nshoal work --join 'x'\nshoal job list\n```\n";
        let expected = [
            Step::Elsewhere("cargo xtask demo".into()),
            Step::Up("shoal up".into()),
            Step::Work("shoal work --join 'x'".into()),
            Step::Run("shoal job list".into()),
        ];
        assert_eq!(kinds(readme), expected);
    }

    #[test]
    fn lines_that_nobody_checks_are_refused_with_their_place() {
        let refused = |line: &str| format!("{:#}", steps(&format!("```sh\nshoal up\n{line}\n```\n")).unwrap_err());
        assert_eq!(refused("cargo xtask fly"), "README.md:3: cargo xtask fly: xtask has no command fly");
        assert!(refused("cargo build --release -p shoal").contains("the programs are shoal-relay and shoal"));
        assert!(refused("curl https://example.org").contains("no rule of xtask"));
        assert!(steps("no commands").is_err());
    }
}
