//! Compiles the protobuf schema with protox, so that no protoc is needed.
use std::{fs, io, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files: Vec<PathBuf> =
        fs::read_dir("proto/shoal/v1")?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, io::Error>>()?;
    files.sort();
    let descriptors = protox::compile(&files, ["proto"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
