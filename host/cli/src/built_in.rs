//! The plugins that come with the binary.

use anyhow::Context;
use bytes::Bytes;
use std::path::Path;

include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// The built-in plugins, and those of a folder, which win over built-in ones of their name.
pub(crate) fn plugins(folder: Option<&Path>) -> anyhow::Result<Vec<(String, Bytes)>> {
    let mut plugins: Vec<(String, Bytes)> =
        BUILT_IN.iter().map(|(name, bytes)| ((*name).to_owned(), Bytes::from_static(bytes))).collect();
    if let Some(folder) = folder {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("cannot read the plugins in `{}`", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "wasm") {
                continue;
            }
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
            plugins.retain(|(known, _)| *known != name);
            plugins.push((name, bytes.into()));
        }
    }
    Ok(plugins)
}
