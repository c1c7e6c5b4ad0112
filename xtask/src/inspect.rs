//! What a built file is like, asked from the engine that will run it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::exec;

/// Modules that a WebAssembly module imports from, each once.
fn wasm_imports(module: &Path) -> Result<Vec<String>> {
    // Node 20 knows relaxed SIMD behind a flag; a later one that has no such flag says so and goes on.
    let value = node(
        "require('node:v8').setFlagsFromString('--experimental-wasm-relaxed-simd');
         const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes)).map((entry) => entry.module);
         console.log(JSON.stringify([...new Set(imports)]));",
        module,
    )?;
    let names = value.as_array().context("node printed no list")?;
    Ok(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

/// A symbol that nobody defines becomes an import from `env`: C code, or a libc call, that no browser has.
pub(crate) fn no_env_imports(module: &Path) -> Result<()> {
    if wasm_imports(module)?.iter().any(|name| name == "env") {
        bail!("{} imports from env", module.display());
    }
    Ok(())
}

/// Bytes as they are and as a web server would send them.
pub(crate) struct Size {
    pub(crate) raw: u64,
    pub(crate) gzip: u64,
}

pub(crate) fn size(file: &Path) -> Result<Size> {
    let script = "console.log(require('node:zlib').gzipSync(bytes, { level: 9 }).length)";
    let gzip = node(script, file)?.as_u64().context("node printed no number")?;
    Ok(Size { raw: file.metadata()?.len(), gzip })
}

fn node(script: &str, file: &Path) -> Result<Value> {
    let script = format!("const bytes = require('node:fs').readFileSync(process.argv[1]);\n{script}");
    let printed = exec::output(Command::new("node").args(["-e", &script]).arg(file))?;
    Ok(serde_json::from_str(&printed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_and_size_of_a_small_module() {
        // Type section: one function without parameters; import section: env.f and other.g, both of that type.
        let bytes = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x13\x02\x03env\x01f\0\0\x05other\x01g\0\0";
        let file = std::env::temp_dir().join(format!("xtask-imports-{}.wasm", std::process::id()));
        std::fs::write(&file, bytes).unwrap();
        let imports = wasm_imports(&file);
        let size = size(&file);
        let refused = no_env_imports(&file);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(imports.unwrap(), ["env", "other"]);
        assert!(refused.unwrap_err().to_string().ends_with("imports from env"));
        assert_eq!(size.unwrap().raw, bytes.len() as u64);
    }
}
