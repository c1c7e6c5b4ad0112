//! Benchmarks: examples named `bench_*` of any crate, built for speed and run one at a time.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cargo::{self, Metadata};
use crate::workspace::Workspace;
use crate::{exec, lock};

const PREFIX: &str = "bench_";

pub(crate) fn command(workspace: &Workspace, mut args: Vec<OsString>) -> Result<ExitCode> {
    let benches = list(&Metadata::load(workspace)?);
    if args.is_empty() {
        for bench in &benches {
            println!("{} ({})", bench.name, bench.package);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let name = args.remove(0);
    let Some(bench) = benches.iter().find(|bench| name == *bench.name) else {
        let names: Vec<_> = benches.iter().map(|bench| bench.name.as_str()).collect();
        bail!("no bench {name:?}; there are: {}", names.join(", "));
    };
    let _building = lock::shared(workspace, "build")?;
    let mut command = cargo::native(workspace);
    command.args(["run", "--release", "-p", &bench.package, "--example"]);
    command.arg(format!("{PREFIX}{}", bench.name)).arg("--").args(args);
    exec::run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}

struct Bench {
    name: String,
    package: String,
}

fn list(metadata: &Metadata) -> Vec<Bench> {
    let of = |package: &cargo::Package| -> Vec<Bench> {
        let names = package.examples.iter().filter_map(|example| example.strip_prefix(PREFIX));
        names.map(|name| Bench { name: name.to_owned(), package: package.name.clone() }).collect()
    };
    let mut benches: Vec<_> = metadata.members().flat_map(of).collect();
    benches.sort_by(|a, b| a.name.cmp(&b.name));
    benches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_with_the_prefix_are_benches() {
        let metadata = r#"{"workspace_members": ["a"], "packages": [{
            "id": "a", "name": "a", "version": "1.0.0", "manifest_path": "/a/Cargo.toml", "dependencies": [],
            "targets": [{"kind": ["example"], "name": "bench_matmul"}, {"kind": ["example"], "name": "plot"},
                        {"kind": ["bin"], "name": "bench_bin"}]
        }]}"#;
        let benches = list(&Metadata::parse(metadata).unwrap());
        assert_eq!(benches.iter().map(|bench| bench.name.as_str()).collect::<Vec<_>>(), ["matmul"]);
    }
}
