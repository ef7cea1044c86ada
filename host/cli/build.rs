//! Takes the built-in plugins into the binary: every `*.wasm` of the folder named by
//! `SLIPWAY_BUILTIN_PLUGINS`, which `cargo xtask guests` fills.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=SLIPWAY_BUILTIN_PLUGINS");
    let folder = std::env::var_os("SLIPWAY_BUILTIN_PLUGINS").map(PathBuf::from);
    let mut files: Vec<PathBuf> = folder.as_deref().map(wasm_files).unwrap_or_default();
    files.sort();
    let mut code = String::from(
        "/// File name and bytes of each built-in plugin.\npub(crate) const BUILT_IN: &[(&str, &[u8])] = &[\n",
    );
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.file_stem().and_then(|name| name.to_str()).expect("plugins have plain names");
        writeln!(code, "    ({name:?}, include_bytes!({:?})),", file.display().to_string())
            .expect("a string takes text");
    }
    code.push_str("];\n");
    if let Some(folder) = &folder {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("built_in.rs");
    std::fs::write(out, code).expect("cargo's folder can be written");
}

fn wasm_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect()
}
